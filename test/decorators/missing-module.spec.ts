import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Scope,
  type ModuleMetadata,
  type Provider,
} from '@nestjs/common';
import { LazyModuleLoader, NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheInvalidationModule,
  DeferInvalidations,
  InjectInvalidationStream,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationConfigurationError,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { CachedRoute } from 'nestjs-cache-invalidation/http';
import type { Observable } from 'rxjs';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';

@Injectable()
class Users {
  @InvalidatesCache('User', (id: string) => id)
  async save(id: string): Promise<string> {
    return id;
  }

  @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
  saveNow(id: string): string {
    return id;
  }

  @Cached('User', (id: string) => id)
  async find(id: string): Promise<string> {
    return id;
  }

  @DeferInvalidations()
  async swap(id: string): Promise<string> {
    return this.save(id);
  }
}

@Injectable()
class Listener {
  started = false;

  @OnInvalidation('User')
  hear(): void {}

  onApplicationBootstrap(): void {
    this.started = true;
  }
}

@Injectable()
class Watcher {
  @InjectInvalidationStream()
  readonly messages$!: Observable<InvalidationMessage>;
}

@Controller()
class Routes {
  @Get()
  @CachedRoute('User', () => '1')
  find(): string {
    return 'found';
  }
}

@Injectable()
class Plain {}

async function start(
  providers: Provider[],
  imports: ModuleMetadata['imports'] = [],
) {
  @Module({ providers, imports })
  class AppModule {}
  const logs = new CapturingLogger();
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: logs,
    abortOnError: false,
  });
  onTestFinished(() => app.close());
  return { app, logs };
}

async function callAll(users: Users): Promise<void> {
  expect(await users.save('1')).toBe('1');
  expect(users.saveNow('1')).toBe('1');
  expect(await users.find('1')).toBe('1');
  expect(await users.swap('1')).toBe('1');
}

describe('Startup without CacheInvalidationModule', () => {
  it('fails, and names every decorated method', async () => {
    const starting = start([Users, Plain, Listener]);

    await expect(starting).rejects.toBeInstanceOf(
      InvalidationConfigurationError,
    );
    await expect(starting).rejects.toThrow(
      /not imported.*Users\.find.*Import CacheInvalidationModule\.forRoot/,
    );
    const { message } = (await starting.catch((e: unknown) => e)) as Error;
    for (const name of ['save', 'saveNow', 'find', 'swap']) {
      expect(message).toContain(`Users.${name}`);
    }
    expect(message).toContain('Listener.hear');
    expect(message).not.toContain('Plain');
  });

  it.each<[string, Provider, string]>([
    ['@OnInvalidation()', Listener, 'Listener.hear'],
    ['@InjectInvalidationStream()', Watcher, 'Watcher.messages$'],
    ['@CachedRoute()', Routes, 'Routes.find'],
  ])('fails with only %s', async (_, provider, name) => {
    await expect(start([provider])).rejects.toThrow(name);
  });

  it('names inherited and added methods of a subclass', async () => {
    class Admins extends Users {
      @InvalidatesCache('Admin', (id: string) => id)
      async promote(id: string): Promise<string> {
        return id;
      }
    }
    await expect(start([Admins])).rejects.toThrow(
      /Admins\.save.*Admins\.promote/,
    );
  });

  it('succeeds without decorated methods', async () => {
    const { app } = await start([Plain]);
    expect(app.get(Plain)).toBeInstanceOf(Plain);
  });

  it('succeeds when the environment disables the library', async () => {
    vi.stubEnv('CACHE_INVALIDATION_ENABLED', 'false');
    onTestFinished(() => void vi.unstubAllEnvs());

    const { app, logs } = await start([Users, Listener]);

    await callAll(app.get(Users));
    expect(app.get(Listener).started).toBe(true);
    expect(logs.of('warn')).toEqual([]);
    expect(logs.of('error')).toEqual([]);
  });

  it('names a request-scoped class when it is first created, and fails no request', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest extends Users {}
    const { app, logs } = await start([PerRequest]);

    await callAll(await app.resolve(PerRequest));
    await callAll(await app.resolve(PerRequest));

    expect(logs.of('error')).toEqual([
      expect.stringMatching(/not imported.*PerRequest\.save/),
    ]);
    expect(logs.of('warn')).toEqual([]);
  });

  it('names a transient class resolved later, once, and fails no call', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient extends Users {}
    const { app, logs } = await start([Transient]);

    await callAll(await app.resolve(Transient));
    await callAll(await app.resolve(Transient));

    expect(logs.of('error')).toEqual([
      expect.stringMatching(/not imported.*Transient\.save/),
    ]);
  });

  it('fails when a class injects a transient one', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient extends Users {}
    @Injectable()
    class Taker {
      constructor(@Inject(Transient) readonly users: Transient) {}
    }
    await expect(start([Transient, Taker])).rejects.toThrow(
      /not imported.*Transient\.save/,
    );
  });

  it('names a class of a lazy module when that is loaded', async () => {
    @Module({ providers: [Users] })
    class LazyModule {}
    const { app } = await start([]);

    await expect(
      app.get(LazyModuleLoader).load(() => LazyModule),
    ).rejects.toThrow(/not imported.*Users\.save/);
  });
});

describe('Startup with CacheInvalidationModule', () => {
  const library = (isGlobal: boolean) =>
    CacheInvalidationModule.forRoot({
      serviceName: 'test',
      connection: inject('redisUrl'),
      isGlobal,
    });

  it('fails when a decorated class cannot reach it', async () => {
    @Module({ providers: [Users] })
    class FeatureModule {}
    const starting = start([], [library(false), FeatureModule]);

    await expect(starting).rejects.toBeInstanceOf(
      InvalidationConfigurationError,
    );
    await expect(starting).rejects.toThrow(/Users\.save.*isGlobal: false/);
  });

  it('fails when a decorated class creates its options', async () => {
    @Module({ providers: [Users], exports: [Users] })
    class FeatureModule {}
    const starting = start(
      [],
      [
        CacheInvalidationModule.forRootAsync({
          imports: [FeatureModule],
          inject: [Users],
          useFactory: () => ({
            serviceName: 'test',
            connection: inject('redisUrl'),
          }),
        }),
      ],
    );

    await expect(starting).rejects.toThrow(/Users|circular/i);
  });

  it('names a class of a lazy module that cannot reach it at the first call', async () => {
    @Module({ providers: [Users] })
    class LazyModule {}
    const { app, logs } = await start([], [library(false)]);
    const module = await app.get(LazyModuleLoader).load(() => LazyModule);

    await callAll(module.get(Users));
    await callAll(module.get(Users));

    const errors = logs.of('error');
    for (const name of ['save', 'saveNow', 'find']) {
      expect(
        errors.filter((line) => line.startsWith(`Users.${name} `)),
      ).toHaveLength(1);
    }
  });
});

describe('A testing module without CacheInvalidationModule', () => {
  it.each([Users, Listener, Watcher, Routes])(
    'compiles and starts without a log line: %o',
    async (provider) => {
      const logs = new CapturingLogger();
      const app = await Test.createTestingModule({ providers: [provider] })
        .setLogger(logs)
        .compile();
      await app.init();
      onTestFinished(() => app.close());

      if (provider === Users) await callAll(app.get(Users));

      expect(app.get(provider)).toBeInstanceOf(provider);
      expect(logs.of('warn')).toEqual([]);
      expect(logs.of('error')).toEqual([]);
    },
  );

  it('names the fix when a constructor injects the stream', async () => {
    @Injectable()
    class Reader {
      constructor(
        @InjectInvalidationStream()
        readonly messages$: Observable<InvalidationMessage>,
      ) {}
    }
    await expect(
      Test.createTestingModule({ providers: [Reader] }).compile(),
    ).rejects.toThrow(/CacheInvalidationTestingModule\.register/);
  });
});
