import { CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager';
import { Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { createCache, type Cache } from 'cache-manager';
import fc from 'fast-check';
import { Keyv } from 'keyv';
import { LRUCache } from 'lru-cache';
import {
  affects,
  batch,
  entity,
  everything,
  InvalidationConfigurationError,
  pattern,
  urlKeys,
  type BindableCache,
  type BindOptions,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { InvalidationStream } from '../../lib/stream/index.js';
import { LogRecorder, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const KEYS = ['user:1', 'user:2', 'user:1:profile', 'user:12', 'post:1'];

/** A cache of each supported kind, with ways to fill and read it. */
interface Subject {
  readonly cache: BindableCache;
  fill(names: readonly string[]): unknown;
  names(): Promise<string[]>;
}

function ofMap(): Subject {
  const cache = new Map<string, string>();
  return {
    cache,
    fill: (names) => names.forEach((name) => cache.set(name, name)),
    names: async () => [...cache.keys()],
  };
}

function ofLru(): Subject {
  const cache = new LRUCache<string, string>({ max: 1_000 });
  return {
    cache,
    fill: (names) => names.forEach((name) => cache.set(name, name)),
    names: async () => [...cache.keys()].toReversed(),
  };
}

function ofKeyv(keyv = new Keyv<string>({ namespace: 'mine' })): Subject {
  return {
    cache: keyv,
    fill: (names) => Promise.all(names.map((name) => keyv.set(name, name))),
    names: () => present(keyv),
  };
}

async function ofNest(): Promise<Subject> {
  const module = await Test.createTestingModule({
    imports: [CacheModule.register({ ttl: 0 })],
  }).compile();
  return ofCacheManager(module.get<Cache>(CACHE_MANAGER));
}

function ofTwoTiers(): Subject {
  return ofCacheManager(createCache({ stores: [new Keyv(), new Keyv()] }));
}

function ofCacheManager(cache: Cache): Subject {
  return {
    cache,
    fill: (names) => cache.mset(names.map((key) => ({ key, value: key }))),
    names: async () => {
      const found = await Promise.all(
        cache.stores.map((store) => present(store)),
      );
      return [...new Set(found.flat())];
    },
  };
}

const CANDIDATES = [
  ...KEYS,
  'post:9:body',
  'app:user:1',
  'app:user:2',
  'other:user:1',
];

async function present(cache: {
  get(key: string): Promise<unknown>;
}): Promise<string[]> {
  const values = await Promise.all(CANDIDATES.map((key) => cache.get(key)));
  return CANDIDATES.filter((_, at) => values[at] !== undefined);
}

const SUBJECTS: Record<string, () => Subject | Promise<Subject>> = {
  'a Map': ofMap,
  'an LRUCache': ofLru,
  'a Keyv': ofKeyv,
  'CACHE_MANAGER of Nest': ofNest,
  'cache-manager with two tiers': ofTwoTiers,
};

async function leftAfter(
  app: TestApp,
  subject: Subject,
  invalidation: Invalidation,
  options: BindOptions = {},
  names: readonly string[] = KEYS,
): Promise<string[]> {
  await subject.fill(names);
  const unbind = app.subscriber.bind(subject.cache, options);
  await app.publisher.publish(invalidation);
  // An asynchronous cache finishes some time after the delivery of its message.
  await app.context.get(InvalidationStream).whenIdle();
  expect(app.errors).toEqual([]);
  unbind();
  return subject.names();
}

describe.each(Object.entries(SUBJECTS))('bind() of %s', (_, make) => {
  it.each<[string, Invalidation]>([
    ['an entity', entity('User', 1)],
    ['a batch', batch(['user:2', 'post:1', 'feed:9'])],
    ['a pattern', pattern('user:1*')],
    ['everything', everything()],
    ['a key it does not have', entity('Feed', 7)],
  ])('evicts exactly the keys affected by %s', async (_kind, invalidation) => {
    const app = await startApp();
    const left = await leftAfter(app, await make(), invalidation);
    expect(left).toEqual(KEYS.filter((key) => !affects(invalidation, key)));
  });

  it('option subKeys: evicts keys below a cache key', async () => {
    const app = await startApp();
    const left = await leftAfter(app, await make(), entity('User', 1), {
      subKeys: true,
    });
    expect(left).toEqual(['user:2', 'user:12', 'post:1']);
  });

  it.each(['user:?', '*:1', 'user:1', 'user:[13]'])(
    'option subKeys: evicts keys below those matched by the pattern %s',
    async (glob) => {
      const app = await startApp();
      const subject = await make();
      const names = ['user:1', 'user:1:profile', 'user:12', 'post:9:body'];
      const options = { subKeys: true };
      const left = await leftAfter(app, subject, pattern(glob), options, names);
      expect(left).not.toContain('user:1');
      expect(left).not.toContain('user:1:profile');
      expect(left).toContain('user:12');
    },
  );

  it('option prefix: keeps keys without the prefix', async () => {
    const app = await startApp();
    const names = ['app:user:1', 'app:user:2', 'other:user:1'];
    const options = { prefix: 'app:' };
    for (const [invalidation, expected] of [
      [entity('User', 1), ['app:user:2', 'other:user:1']],
      [pattern('user:*'), ['other:user:1']],
      [everything(), ['other:user:1']],
    ] as const) {
      expect(
        await leftAfter(app, await make(), invalidation, options, names),
      ).toEqual(expected);
    }
  });
});

describe('bind() of a Map with ids as keys', () => {
  const entryOf = (key: string): number | undefined =>
    key.startsWith('user:') ? Number(key.slice('user:'.length)) : undefined;
  const cacheKeyOf = (id: number): string => `user:${id}`;

  async function idsAfter(
    invalidation: Invalidation,
    options: BindOptions,
  ): Promise<number[]> {
    const app = await startApp();
    const cache = new Map([1, 2, 12].map((id) => [id, `user ${id}`]));
    app.subscriber.bind(cache, options);
    await app.publisher.publish(invalidation);
    return [...cache.keys()];
  }

  it('evicts an id with entryOf', async () => {
    expect(await idsAfter(entity('User', 2), { entryOf })).toEqual([1, 12]);
    expect(await idsAfter(entity('Post', 2), { entryOf })).toEqual([1, 2, 12]);
  });

  it('evicts ids matched by a pattern with entryOf and cacheKeyOf', async () => {
    const options = { entryOf, cacheKeyOf };
    expect(await idsAfter(pattern('user:1*'), options)).toEqual([2]);
    expect(await idsAfter(pattern('post:*'), options)).toEqual([1, 2, 12]);
  });

  it('clears the map at a pattern with entryOf alone', async () => {
    expect(await idsAfter(pattern('post:*'), { entryOf })).toEqual([]);
  });

  it('evicts ids by a pass over the map with cacheKeyOf alone', async () => {
    const options = { cacheKeyOf };
    expect(await idsAfter(entity('User', 2), options)).toEqual([1, 12]);
    expect(await idsAfter(entity('Post', 2), options)).toEqual([1, 2, 12]);
    expect(await idsAfter(pattern('user:1*'), options)).toEqual([2]);
  });

  it('cacheKeyOf may return several keys, or an entity type', async () => {
    const options: BindOptions = {
      cacheKeyOf: (id: number) => (id === 1 ? ['user:', 'post:1'] : `x:${id}`),
    };
    expect(await idsAfter(entity('User', 99), options)).toEqual([2, 12]);
    expect(await idsAfter(entity('Post', 1), options)).toEqual([2, 12]);
    expect(await idsAfter(pattern('user:9*'), options)).toEqual([2, 12]);
    expect(await idsAfter(entity('Post', 2), options)).toEqual([1, 2, 12]);
    expect(await idsAfter(pattern('post:2*'), options)).toEqual([1, 2, 12]);
  });

  it.each<[string, BindOptions, number]>([
    ['that are each other’s reverse', { entryOf, cacheKeyOf }, 0],
    [
      'that are swapped',
      { entryOf: cacheKeyOf as never, cacheKeyOf: entryOf as never },
      1,
    ],
    ['that map an entry to nothing', { cacheKeyOf: () => undefined }, 1],
  ])(
    'logs once, at debug, when key functions evict nothing: functions %s',
    async (_, options, times) => {
      const debug = vi.spyOn(Logger.prototype, 'debug');
      onTestFinished(() => debug.mockRestore());
      await idsAfter(entity('User', 2), options);
      await idsAfter(entity('User', 2), { ...options, subKeys: false });
      const app = await startApp();
      app.subscriber.bind(new Map([[1, 1]]), options);
      debug.mockClear();
      for (const id of [1, 2]) await app.publisher.invalidate('User', id);
      const lines = debug.mock.calls.map(String);
      expect(lines.filter((line) => line.includes('entryOf'))).toHaveLength(
        times,
      );
    },
  );
});

describe("bind() of the CacheInterceptor's response cache", () => {
  it('evicts entries by their URLs, whatever their query', async () => {
    const app = await startApp();
    const cache = new Map(
      [
        '/api/users',
        '/api/users?page=2',
        '/api/users/1',
        '/api/users/1?full=1',
        // Express routes this like the others, so it is cached.
        '/API/Users/1',
        '/api/users/12/posts',
        '/api/users/a%20b',
        '/health',
      ].map((url) => [url, url]),
    );
    app.subscriber.bind(
      cache,
      urlKeys({
        User: ['/api/users', '/api/users/:id', '/api/users/:id/posts'],
        Post: '/api/users/:id/posts',
      }),
    );
    await app.publisher.invalidate('User', 1);
    expect([...cache.keys()]).toEqual([
      '/api/users/12/posts',
      '/api/users/a%20b',
      '/health',
    ]);
    await app.publisher.invalidate('User', 'a b');
    await app.publisher.invalidatePattern('user:12*');
    expect([...cache.keys()]).toEqual(['/health']);
    expect(() => urlKeys({ User: 'users' })).toThrow('slash');
  });
});

describe('bind()', () => {
  it('evicts nothing after it was unbound', async () => {
    const app = await startApp();
    const cache = new Map([['user:1', 1]]);
    const unbind = app.subscriber.bind(cache);
    unbind();
    await app.publisher.invalidate('User', 1);
    expect(cache.size).toBe(1);
  });

  it('option when: skips messages, and evicts and reports when it throws', async () => {
    const app = await startApp();
    const [own, failing] = [new Map([['user:1', 1]]), new Map([['user:1', 1]])];
    app.subscriber.bind(own, { when: ({ metadata }) => metadata !== 'skip' });
    app.subscriber.bind(failing, {
      when: () => {
        throw new Error('of the condition');
      },
    });
    await app.publisher.invalidate('User', 1, { metadata: 'skip' });
    expect([own.size, failing.size]).toEqual([1, 0]);
    expect(app.errors).toMatchObject([
      { source: 'A bound cache', cause: { message: 'of the condition' } },
    ]);
  });

  it.each<[string, BindOptions]>([
    [
      'throws',
      {
        entryOf: () => {
          throw new Error('of entryOf');
        },
      },
    ],
    ['returns a promise', { entryOf: async (key) => key }],
    [
      'is cacheKeyOf and returns a promise',
      { cacheKeyOf: (async (name: string) => name) as never },
    ],
  ])(
    'clears the cache and reports when a key function %s',
    async (_what, options) => {
      const app = await startApp();
      const cache = new Map([
        ['user:1', 1],
        ['user:2', 2],
      ]);
      app.subscriber.bind(cache, { ...options });
      if (options.entryOf === undefined) {
        await app.publisher.publish(pattern('user:1'));
      } else await app.publisher.invalidate('User', 1);
      expect(cache.size).toBe(0);
      await eventually(() => expect(app.errors).toHaveLength(1));
    },
  );

  it('clears a Keyv whose store fails to delete, and reports the error', async () => {
    class FailingOnce extends Map<string, string> {
      failures = 0;
      override delete(key: string): boolean {
        if (this.failures++ === 0) throw new Error('The store hiccups.');
        return super.delete(key);
      }
    }
    const app = await startApp();
    const keyv = new Keyv<string>({ store: new FailingOnce() });
    await keyv.set('user:1', 'x');
    app.subscriber.bind(keyv);
    await app.publisher.invalidate('User', 1);
    await eventually(() => expect(app.errors).toHaveLength(1));
    expect(app.errors[0]!.message).toContain('hiccups');
    expect(await keyv.get('user:1')).toBeUndefined();
  });

  it('clears an LRUCache with a fetch in flight', async () => {
    const app = await startApp();
    const loads: ((user: string) => void)[] = [];
    const cache = new LRUCache<string, string>({
      max: 10,
      fetchMethod: () => new Promise((resolve) => loads.push(resolve)),
    });
    app.subscriber.bind(cache);
    const fetching = cache.fetch('user:1').catch(() => undefined);
    await app.publisher.invalidatePattern('user:1*');
    loads[0]!('old');
    await fetching;
    expect(cache.get('user:1')).toBeUndefined();
  });

  it.each(['user:*', 'user:?', '*:1'])(
    'evicts stale entries of an LRUCache too: %s',
    async (glob) => {
      const app = await startApp();
      let now = 0;
      const perf = { now: () => now };
      const cache = new LRUCache<string, string>({ max: 10, ttl: 20, perf });
      app.subscriber.bind(cache);
      cache.set('user:1', 'old');
      now = 1_000;
      await app.publisher.invalidatePattern(glob);
      const allowStale = { allowStale: true };
      expect(cache.get('user:1', allowStale)).toBeUndefined();
      expect(cache.peek('user:1', allowStale)).toBeUndefined();
      expect(cache.dump()).toEqual([]);
      expect([...cache.rentries()]).toEqual([]);
    },
  );

  it('clears a large cache at a pattern when a pass over it would take too long', async () => {
    const app = await startApp();
    const large = new Map<string, number>();
    for (let id = 0; id < 100_000; id++) large.set(`post:${id}`, id);
    const keyv = new Keyv<number>();
    for (let id = 0; id < 11_000; id++) await keyv.set(`post:${id}`, id);
    for (const cache of [large, keyv]) app.subscriber.bind(cache);
    await app.publisher.invalidatePattern('user:1*');
    await app.context.get(InvalidationStream).whenIdle();
    expect(large.size).toBe(0);
    expect(await keyv.get('post:1')).toBeUndefined();
    expect(app.errors).toEqual([]);
  });

  it('logs a warning for an LRUCache that takes long to clear', async () => {
    const logger = new LogRecorder();
    const app = await startApp({ logger });
    app.subscriber.bind(new LRUCache({ max: 100_000 }));
    expect(logger.warnings).toEqual([]);
    app.subscriber.bind(new LRUCache({ max: 300_000 }));
    expect(logger.warnings.join()).toContain('300000 entries');
  });

  it('clears a store that cannot list its keys at a pattern', async () => {
    const app = await startApp();
    const keyv = new Keyv<string>();
    await keyv.set('user:1', 'x');
    delete keyv.iterator;
    app.subscriber.bind(keyv);
    await app.publisher.invalidatePattern('post:*');
    await eventually(async () =>
      expect(await keyv.get('user:1')).toBeUndefined(),
    );
  });

  it.each([
    ['an object that is not a cache', {} as BindableCache, {}],
    ['nothing', null as unknown as BindableCache, {}],
    ['entryOf and a prefix', new Map(), { entryOf: String, prefix: 'a' }],
    [
      'subKeys and entryOf alone',
      new Map(),
      { entryOf: String, subKeys: true },
    ],
  ])('rejects %s', async (_, cache, options) => {
    const { subscriber } = await startApp();
    expect(() => subscriber.bind(cache, options)).toThrow(
      InvalidationConfigurationError,
    );
  });

  it('agrees with affects() on every key and message', async () => {
    const app = await startApp();
    const cache = new Map<string, string>();
    app.subscriber.bind(cache);
    const key = fc.constantFrom(...KEYS, 'feed:1', 'session:a');
    const glob = fc.constantFrom('user:*', '*:1', '**', 'user:[12]', 'u*e');
    const invalidations = fc.oneof(
      fc.constantFrom(1, 2, 12).map((id) => entity('User', id)),
      fc.array(key, { minLength: 1 }).map((keys) => batch(keys)),
      glob.map((text) => (text === '**' ? everything() : pattern(text))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(key), invalidations, async (keys, said) => {
        cache.clear();
        for (const each of keys) cache.set(each, each);
        await app.publisher.publish(said);
        const expected = [...new Set(keys)].filter((k) => !affects(said, k));
        expect([...cache.keys()]).toEqual(expected);
      }),
    );
  });
});
