import { Injectable, Scope } from '@nestjs/common';
import {
  Cached,
  DeferInvalidations,
  InvalidatesCache,
  InvalidatesCachePattern,
  NearCacheFactory,
  OnInvalidation,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { startApp } from '../testing/fakes/start-app.js';

class Base {
  @InvalidatesCache('User', (id: string) => id)
  async save(id: string): Promise<string> {
    return id;
  }

  async other(id: string): Promise<string> {
    return id;
  }
}

describe('Warnings at startup about a decorator without effect', () => {
  it('name an override that does not call its decorated method', async () => {
    class Overriding extends Base {
      override async save(id: string): Promise<string> {
        return `${id}!`;
      }
    }
    class CallingAnother extends Base {
      override async save(id: string): Promise<string> {
        return super.other(id);
      }
    }
    class Calling extends Base {
      override async save(id: string): Promise<string> {
        return super.save(id);
      }
    }
    class Decorating extends Base {
      @InvalidatesCache('Post', (id: string) => id)
      override async save(id: string): Promise<string> {
        return id;
      }
    }
    const { logs } = await startApp({
      providers: [Base, Overriding, CallingAnother, Calling, Decorating],
    });

    expect(logs.of('warn')).toEqual([
      expect.stringMatching(/^Overriding\.save overrides .* Call super\.save/),
      expect.stringMatching(/^CallingAnother\.save overrides /),
    ]);
  });

  it.each(['useFactory', 'useValue'])(
    'name a class provided by %s',
    async (how) => {
      const { logs } = await startApp({
        providers: [
          how === 'useValue'
            ? { provide: 'base', useValue: new Base() }
            : { provide: 'base', useFactory: () => new Base() },
        ],
      });

      expect(logs.of('error')).toEqual([
        expect.stringMatching(/^The decorators on Base\.save have no effect/),
      ]);
    },
  );

  it('ignore a transient class, and a value without a class', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient extends Base {}
    const { logs } = await startApp({
      providers: [
        Transient,
        { provide: 'bare', useValue: Object.create(null) },
        {
          provide: 'odd',
          useValue: Object.create(
            Object.assign(Object.create(null) as object, { call: () => {} }),
          ),
        },
      ],
    });

    expect([...logs.of('error'), ...logs.of('warn')]).toEqual([]);
  });

  it('name a @Cached() method that shares a cache between requests, unless it uses `this`', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Settings {
      readonly tenant = 'red';

      @Cached('setting', (id: string) => id)
      async find(id: string): Promise<string> {
        return id;
      }

      @Cached('setting', function (this: Settings, id: string) {
        return `${this.tenant}:${id}`;
      })
      async findOwn(id: string): Promise<string> {
        return id;
      }
    }
    const { logs } = await startApp({ providers: [Settings] });

    expect(logs.of('warn')).toEqual([
      expect.stringMatching(/^@Cached\(\) on Settings\.find keeps one cache/),
    ]);
  });
});

describe('A decorator on anything but a method throws', () => {
  const decorators = {
    InvalidatesCache: InvalidatesCache('User', () => '1'),
    InvalidatesCachePattern: InvalidatesCachePattern('feed:*'),
    Cached: Cached('User', () => '1'),
    DeferInvalidations: DeferInvalidations(),
  };

  it.each(Object.keys(decorators) as (keyof typeof decorators)[])(
    '@%s() on a property with a function',
    (name) => {
      class Arrows {}
      const decorate = decorators[name] as PropertyDecorator;

      expect(() => decorate(Arrows.prototype, 'save')).toThrow(
        /^Arrows\.save is not a method: .*Write it as a method/,
      );
    },
  );

  it.each(Object.keys(decorators) as (keyof typeof decorators)[])(
    '@%s() as a standard decorator, and on a class',
    (name) => {
      const decorate = decorators[name] as (...args: unknown[]) => void;
      const context = { kind: 'method', name: 'save' };

      for (const args of [[() => {}, context], [class {}]]) {
        expect(() => decorate(...args)).toThrow(/set experimentalDecorators/);
      }
    },
  );

  it('@Cached() without a selector', () => {
    expect(() => Cached('User', undefined as never)).toThrow(
      /^undefined is not a selector/,
    );
  });
});

describe('option describe', () => {
  class Users {
    @InvalidatesCache('User', (id: string) => id)
    async save(_id: string): Promise<void> {}

    @InvalidatesCachePattern('feed:*')
    async clear(): Promise<void> {}

    @Cached('Post', (id: string) => id)
    async post(id: string): Promise<string> {
      return id;
    }

    @OnInvalidation('User')
    hear(): void {}
  }

  @Injectable()
  class Sessions {
    constructor(caches: NearCacheFactory) {
      caches.create('session');
    }
  }

  it('logs the decorated methods, and those without a counterpart', async () => {
    const { logs } = await startApp({
      providers: [Users, Sessions],
      options: { describe: true },
    });

    const [report] = logs.of('log').filter((line) => line.includes('\n'));
    expect(report?.split('\n  - ')).toEqual([
      'Decorators and near caches of this application:',
      'Users.save invalidates User',
      'Users.clear invalidates feed:*',
      'Users.post caches Post',
      'A near cache caches session',
      'Users.hear hears User',
      'Post is cached, but no decorator here invalidates it: is it invalidated by hand, or by another service?',
      'session is cached, but no decorator here invalidates it: is it invalidated by hand, or by another service?',
      'feed:* is invalidated, but nothing here caches or handles it: does a bound cache, or another service?',
    ]);
  });

  it('is off by default', async () => {
    const { logs } = await startApp({ providers: [Users] });

    expect(logs.of('log').join()).not.toContain('Users.save');
  });
});

describe('An inherited method that is decorated again', () => {
  it('leaves the base class and its siblings unchanged', async () => {
    const crud = (type: string) => {
      class Mixed extends Base {}
      Object.defineProperty(
        Mixed.prototype,
        'save',
        Object.getOwnPropertyDescriptor(Base.prototype, 'save')!,
      );
      const descriptor = Object.getOwnPropertyDescriptor(
        Mixed.prototype,
        'save',
      )!;
      const decorate = InvalidatesCache(type, (id: string) => id);
      (decorate as MethodDecorator)(Mixed.prototype, 'save', descriptor);
      Object.defineProperty(Mixed.prototype, 'save', descriptor);
      return Mixed;
    };
    const [Cats, Dogs] = [crud('cat'), crud('dog')];
    const { app, recorder } = await startApp({
      providers: [Base, Cats, Dogs],
    });
    const typesSaid = async (service: new () => Base) => {
      recorder.clear();
      await app.get(service).save('1');
      return recorder.published.map(({ entityType }) => entityType);
    };

    expect(await typesSaid(Base)).toEqual(['User']);
    expect(await typesSaid(Cats)).toEqual(['User', 'cat']);
    expect(await typesSaid(Dogs)).toEqual(['User', 'dog']);
  });
});
