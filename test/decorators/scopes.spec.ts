import {
  Inject,
  Injectable,
  Logger,
  Module,
  Scope,
  type DynamicModule,
  type Type,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  CacheInvalidationModule,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationStats,
} from 'nestjs-cache-invalidation';
import { InMemoryBroker, settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it, vi } from 'vitest';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';
import { buildApp, startApp } from '../testing/fakes/start-app.js';

/** A new class for each call, since a warning is logged once per class. */
function usersService() {
  @Injectable()
  class UsersService {
    @InvalidatesCache('User', (id: string) => id)
    async update(id: string): Promise<string> {
      return id;
    }
  }
  return UsersService;
}

const user = (entityId: string) => ({ entityType: 'User', entityId });

describe('Decorated methods of providers', () => {
  it('publish for every request-scoped instance', async () => {
    const made: object[] = [];
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      constructor() {
        made.push(this);
      }

      @InvalidatesCache('User', (id: string) => id)
      async update(_id: string): Promise<void> {}
    }
    const { app, recorder, logs } = await startApp({ providers: [PerRequest] });

    for (const id of ['1', '2']) {
      const request = await app.resolve(PerRequest, ContextIdFactory.create());
      await request.update(id);
    }

    expect(new Set(made).size).toBe(2);
    expect(recorder.published).toMatchObject([user('1'), user('2')]);
    expect(logs.of('warn')).toEqual([]);
  });

  it('publish when request-scoped because of a dependency', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class RequestContext {}
    @Injectable()
    class Dependent {
      constructor(readonly context: RequestContext) {}

      @InvalidatesCache('User', (id: string) => id)
      async update(_id: string): Promise<void> {}
    }
    const { app, recorder } = await startApp({
      providers: [RequestContext, Dependent],
    });

    const dependent = await app.resolve(Dependent, ContextIdFactory.create());
    await dependent.update('1');

    expect(dependent.context).toBeInstanceOf(RequestContext);
    expect(recorder.published).toMatchObject([user('1')]);
  });

  it('publish for each transient instance', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Writer {
      @InvalidatesCache('User', (id: string) => id)
      async update(_id: string): Promise<void> {}
    }
    @Injectable()
    class First {
      constructor(readonly writer: Writer) {}
    }
    @Injectable()
    class Second {
      constructor(readonly writer: Writer) {}
    }
    const { app, recorder } = await startApp({
      providers: [Writer, First, Second],
    });
    const [first, second] = [app.get(First).writer, app.get(Second).writer];

    await first.update('1');
    await second.update('2');

    expect(first).not.toBe(second);
    expect(recorder.published).toMatchObject([user('1'), user('2')]);
  });

  it('publish for instances of ModuleRef.create()', async () => {
    const UsersService = usersService();
    const { app, recorder } = await startApp();

    const users = await app.get(ModuleRef).create(UsersService);
    await users.update('1');

    expect(recorder.published).toMatchObject([user('1')]);
  });

  it('publish for useClass under another token', async () => {
    const UsersService = usersService();
    const { app, recorder } = await startApp({
      providers: [{ provide: 'USERS', useClass: UsersService }],
    });

    await app.get<InstanceType<typeof UsersService>>('USERS').update('1');

    expect(recorder.published).toMatchObject([user('1')]);
  });

  it('publish with property injection', async () => {
    @Injectable()
    class Injected {
      @Inject('PREFIX')
      private readonly prefix!: string;

      @InvalidatesCache('User', (id: string) => id)
      async update(id: string): Promise<string> {
        return this.prefix + id;
      }

      @InvalidatesCachePattern('feed:*')
      async other(): Promise<void> {}
    }
    const { app, recorder } = await startApp({
      providers: [Injected, { provide: 'PREFIX', useValue: 'user-' }],
    });

    expect(await app.get(Injected).update('1')).toBe('user-1');
    await app.get(Injected).other();

    expect(recorder.published).toMatchObject([
      user('1'),
      { pattern: 'feed:*' },
    ]);
  });
});

describe('Inherited decorated methods', () => {
  abstract class Repository {
    @InvalidatesCache('User', (id: string) => id)
    async save(id: string): Promise<string> {
      return `saved ${id}`;
    }
  }

  it('publish once, with their own `this`, when not overridden', async () => {
    class Users extends Repository {}
    const { app, recorder } = await startApp({ providers: [Users] });

    expect(await app.get(Users).save('1')).toBe('saved 1');

    expect(recorder.published).toMatchObject([user('1')]);
  });

  it('publish when an override calls super', async () => {
    class Users extends Repository {
      override async save(id: string): Promise<string> {
        return `${await super.save(id)} here`;
      }
    }
    const { app, recorder } = await startApp({ providers: [Users] });

    expect(await app.get(Users).save('1')).toBe('saved 1 here');

    expect(recorder.published).toMatchObject([user('1')]);
  });

  it('do not publish when an override does not call super', async () => {
    class Users extends Repository {
      override async save(_id: string): Promise<string> {
        return 'elsewhere';
      }
    }
    const { app, recorder } = await startApp({ providers: [Users] });

    expect(await app.get(Users).save('1')).toBe('elsewhere');

    await settled(app);
    expect(recorder.published).toEqual([]);
  });

  it('publish for both decorators when decorated again', async () => {
    class Users extends Repository {
      @InvalidatesCache('Feed', (id: string) => id)
      override async save(id: string): Promise<string> {
        return super.save(id);
      }
    }
    class Plain extends Repository {}
    const { app, recorder } = await startApp({ providers: [Users, Plain] });

    await app.get(Users).save('1');
    await app.get(Plain).save('2');

    expect(recorder.published).toMatchObject([
      user('1'),
      { entityType: 'Feed', entityId: '1' },
      user('2'),
    ]);
  });

  it('publish on a subclass with property injection', async () => {
    class Users extends Repository {
      @Inject('PREFIX')
      readonly prefix!: string;
    }
    const { app, recorder } = await startApp({
      providers: [Users, { provide: 'PREFIX', useValue: 'x' }],
    });

    await app.get(Users).save('1');

    expect(app.get(Users).prefix).toBe('x');
    expect(recorder.published).toMatchObject([user('1')]);
  });

  it('publish with the type of their mixin', async () => {
    function CrudOf(type: 'User' | 'Post'): Type<{
      save(id: string): Promise<void>;
    }> {
      class Crud {
        @InvalidatesCache(type, (id: string) => id)
        async save(_id: string): Promise<void> {}
      }
      return Crud;
    }
    class Users extends CrudOf('User') {}
    class Posts extends CrudOf('Post') {}
    const { app, recorder } = await startApp({ providers: [Users, Posts] });

    await app.get(Users).save('1');
    await app.get(Posts).save('2');

    expect(recorder.published).toMatchObject([
      user('1'),
      { entityType: 'Post', entityId: '2' },
    ]);
  });

  it('publish on a mixin over a class', async () => {
    function Audited<T extends Type<object>>(Base: T) {
      class AuditedBase extends Base {
        @InvalidatesCache('audit', (id: string) => id)
        async audit(_id: string): Promise<void> {}
      }
      return AuditedBase;
    }
    class Plain {
      @InvalidatesCache('User', (id: string) => id)
      async save(_id: string): Promise<void> {}
    }
    class Users extends Audited(Plain) {}
    const { app, recorder } = await startApp({ providers: [Users] });

    await app.get(Users).save('1');
    await app.get(Users).audit('2');

    expect(recorder.published).toMatchObject([
      user('1'),
      { entityType: 'audit', entityId: '2' },
    ]);
  });
});

describe('Two applications with one decorated class', () => {
  it('publish through their own module', async () => {
    const UsersService = usersService();
    const first = await startApp({ providers: [UsersService] });
    const second = await startApp({ providers: [UsersService] });

    await first.app.get(UsersService).update('1');
    await second.app.get(UsersService).update('2');
    await second.app.get(UsersService).update('3');

    expect(first.recorder.published).toMatchObject([user('1')]);
    expect(second.recorder.published).toMatchObject([user('2'), user('3')]);
    expect(first.app.get(InvalidationStats).snapshot().published).toBe(1);
    expect(second.app.get(InvalidationStats).snapshot().published).toBe(2);
  });

  it('publish after the other one was closed', async () => {
    const UsersService = usersService();
    const first = await startApp({ providers: [UsersService] });
    const second = await startApp({ providers: [UsersService] });

    await first.app.close();
    await second.app.get(UsersService).update('1');

    expect(second.recorder.published).toMatchObject([user('1')]);
  });
});

describe('Decorated methods of instances outside of Nest', () => {
  const PASSES_THROUGH =
    /^UsersService\.update was called on an instance that Nest did not make: it works, but invalidates nothing/;

  function captureLogs(): CapturingLogger {
    const logs = new CapturingLogger();
    Logger.overrideLogger(logs);
    return logs;
  }

  it('by `new`: run, and log one warning per process', async () => {
    const logs = captureLogs();
    vi.stubEnv('CACHE_INVALIDATION_ENABLED', 'false');
    expect(await new (usersService())().update('1')).toBe('1');
    vi.unstubAllEnvs();
    expect(logs.of('warn')).toEqual([]);

    const users = new (usersService())();
    expect(await users.update('1')).toBe('1');
    expect(await users.update('2')).toBe('2');
    expect(await new (usersService())().update('3')).toBe('3');

    expect(logs.of('warn')).toEqual([expect.stringMatching(PASSES_THROUGH)]);
  });

  it('by `new`: pass errors on', async () => {
    captureLogs();
    const error = new Error('no');
    class Failing {
      @InvalidatesCache('User', () => '1')
      async update(): Promise<void> {
        throw error;
      }
    }

    await expect(new Failing().update()).rejects.toBe(error);
  });

  it('without `this`: run, and log one warning', async () => {
    const logs = captureLogs();
    const { update } = usersService().prototype;

    expect(await update('1')).toBe('1');
    expect(await update('2')).toBe('2');

    expect(logs.of('error')).toEqual([
      expect.stringMatching(/^UsersService\.update .*without its instance/),
    ]);
  });

  it.each(['useFactory', 'useValue'] as const)(
    'by %s: run, and are named at startup',
    async (how) => {
      const UsersService = usersService();
      const { app, recorder, logs } = await startApp({
        providers: [
          how === 'useFactory'
            ? { provide: UsersService, useFactory: () => new UsersService() }
            : { provide: UsersService, useValue: new UsersService() },
        ],
      });

      expect(await app.get(UsersService).update('1')).toBe('1');
      expect(await app.get(UsersService).update('2')).toBe('2');

      await settled(app);
      expect(recorder.published).toEqual([]);
      expect(logs.of('error')).toEqual([
        expect.stringMatching(/UsersService\.update have no effect/),
      ]);
    },
  );

  it('do not affect instances created by Nest', async () => {
    const UsersService = usersService();
    const { app, recorder } = await startApp({ providers: [UsersService] });

    await new UsersService().update('1');
    await app.get(UsersService).update('2');

    expect(recorder.published).toMatchObject([user('2')]);
  });
});

describe('option isGlobal: false', () => {
  const UsersService = usersService();

  function start(featureImports: DynamicModule[]) {
    @Module({ imports: featureImports, providers: [UsersService] })
    class UsersModule {}
    return new InMemoryBroker()
      .install(
        Test.createTestingModule({ imports: [cacheModule, UsersModule] }),
      )
      .setLogger(new CapturingLogger())
      .compile();
  }

  const cacheModule = CacheInvalidationModule.forRoot({
    serviceName: 'test',
    isGlobal: false,
  });

  it('fails the start of a feature module that does not import it', async () => {
    const module = await start([]);
    await expect(module.init()).rejects.toThrow(
      /UsersService\.update.*isGlobal: false/,
    );
  });

  it('works in a feature module that imports it', async () => {
    const module = await start([cacheModule]);
    await module.init();

    await module.get(UsersService, { strict: false }).update('1');

    expect(
      module.get(InvalidationStats, { strict: false }).snapshot().published,
    ).toBe(1);
    await module.close();
  });
});

describe('An application that is compiled and not initialized', () => {
  // `Test.createTestingModule(…).compile()` runs no hooks: many unit tests
  // stop there, and the method must not hang.
  it('runs decorated methods', async () => {
    const UsersService = usersService();
    const app = await buildApp({ providers: [UsersService] });
    const finished = vi.fn();

    await app.get(UsersService).update('1').then(finished);

    expect(finished).toHaveBeenCalledOnce();
    await app.close();
  });
});
