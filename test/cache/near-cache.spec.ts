import {
  InvalidationConfigurationError,
  InvalidationScope,
  InvalidMessageError,
  NearCache,
  NearCacheFactory,
  type NearCacheOptions,
} from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { resolveNearCache } from '../../lib/cache/index.js';
import { Fences } from '../../lib/stream/index.js';
import { startApp, type AppOptions, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { outsideScopes } from '../../lib/publisher/index.js';

interface User {
  readonly id: string;
  readonly version: number;
}

interface Setup extends TestApp {
  readonly users: NearCache<User | null>;
  /** Loads the user, and counts the loads. */
  load(id: string): () => Promise<User>;
  readonly loads: string[];
}

async function start(
  options: NearCacheOptions<User | null> = {},
  app: AppOptions = {},
): Promise<Setup> {
  const started = await startApp(app);
  const loads: string[] = [];
  return {
    ...started,
    users: started.context.get(NearCacheFactory).create('User', options),
    load: (id) => async () => ({ id, version: loads.push(id) }),
    loads,
  };
}

/** A load that ends when the test resolves it. */
function deferred<T>(): {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
} {
  let settle!: Pick<ReturnType<typeof deferred<T>>, 'resolve' | 'reject'>;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
}

describe('NearCache', () => {
  it('loads once, and again after an invalidation', async () => {
    const { users, load, publisher, loads } = await start();
    expect(await users.get('1', load('1'))).toEqual({ id: '1', version: 1 });
    expect(await users.get('1', load('1'))).toEqual({ id: '1', version: 1 });
    await publisher.invalidate('User', 2);
    expect(users.peek('1')?.version).toBe(1);
    await publisher.invalidate('User', 1);
    expect(users.peek('1')).toBeUndefined();
    expect((await users.get('1', load('1')))?.version).toBe(2);
    expect(loads).toHaveLength(2);
    expect(users.stats).toEqual({
      hits: 1,
      misses: 2,
      loads: 2,
      overtaken: 0,
      behind: 0,
      primaryLoads: 0,
      size: 1,
      l2Hits: 0,
      l2Refused: 0,
      l2Errors: 0,
      l2Unshared: 0,
    });
  });

  it('is evicted by batches, patterns and everything', async () => {
    const { users, load, publisher } = await start();
    const fill = (): Promise<unknown> =>
      Promise.all(['1', '2', '12'].map((id) => users.get(id, load(id))));
    const left = (): string[] =>
      ['1', '2', '12'].filter((id) => users.peek(id) !== undefined);
    await fill();
    await publisher.invalidateBatch(['user:1', 'post:2']);
    expect(left()).toEqual(['2', '12']);
    await fill();
    await publisher.invalidatePattern('user:1*');
    expect(left()).toEqual(['2']);
    await fill();
    await publisher.invalidatePattern('post:*');
    expect(left()).toEqual(['1', '2', '12']);
    await publisher.invalidateAll();
    expect(left()).toEqual([]);
  });

  it('reads a number and its digits as one id', async () => {
    const { users, load, loads } = await start();
    await users.get(1, load('1'));
    await users.get('1', load('1'));
    await users.get(1n, load('1'));
    expect(loads).toHaveLength(1);
  });

  it('rejects an invalid id, even when an entry has its text as id', async () => {
    const { users: cache } = await start();
    for (const text of [
      'undefined',
      'null',
      'NaN',
      'true',
      '[object Object]',
    ]) {
      await cache.get(text, () => text as never);
    }
    for (const id of [undefined, null, NaN, true, {}, Symbol('x'), '']) {
      const load = vi.fn();
      await expect(cache.get(id as never, load)).rejects.toThrow(
        InvalidMessageError,
      );
      expect(cache.peek(id as never)).toBeUndefined();
      await InvalidationScope.run(async () => {
        await expect(cache.get(id as never, load)).rejects.toThrow(
          InvalidMessageError,
        );
      });
      expect(load).not.toHaveBeenCalled();
    }
  });

  it('loads once for 10,000 concurrent reads', async () => {
    const { users, load, loads } = await start();
    const all = await Promise.all(
      Array.from({ length: 10_000 }, () => users.get('1', load('1'))),
    );
    expect(loads).toHaveLength(1);
    expect(new Set(all).size).toBe(1);
  });

  it('returns but does not cache a value invalidated during the load', async () => {
    const { users, publisher } = await start();
    const slow = deferred<User>();
    const reading = users.get('1', () => slow.promise);
    await publisher.invalidate('User', 1);
    slow.resolve({ id: '1', version: 0 });
    expect((await reading)?.version).toBe(0);
    expect(users.peek('1')).toBeUndefined();
    expect(users.stats.overtaken).toBe(1);
  });

  it('does not let a later read join an overtaken load', async () => {
    const { users, publisher, load } = await start();
    const slow = deferred<User>();
    const old = users.get('1', () => slow.promise);
    await publisher.invalidate('User', 1);
    const fresh = await users.get('1', load('1'));
    expect(fresh?.version).toBe(1);
    slow.resolve({ id: '1', version: 0 });
    expect((await old)?.version).toBe(0);
    expect(users.peek('1')).toBe(fresh);
  });

  it('calls the own loader of a read that joined getMany() if that left its id out', async () => {
    const { users, load, loads } = await start();
    const slow = deferred<Map<string, User>>();
    const many = users.getMany(['1', '2'], () => slow.promise);
    const missing = (): Promise<never> => Promise.reject(new Error('No 1.'));
    const refused = users.get('1', missing);
    const both = Promise.all([
      users.get('2', load('2')),
      users.get('2', load('2')),
    ]);
    slow.resolve(new Map([['2', { id: '2', version: 9 }]]));

    await expect(refused).rejects.toThrow('No 1.');
    expect((await both).map((user) => user?.version)).toEqual([9, 9]);
    expect([...(await many).keys()]).toEqual(['2']);
    expect(loads).toEqual([]);
  });

  it('rejects all joined reads when the loader fails, and caches nothing', async () => {
    const { users, load } = await start();
    const slow = deferred<User>();
    const both = [
      users.get('1', () => slow.promise),
      users.get('1', load('1')),
    ];
    slow.reject(new Error('of the loader'));
    for (const one of both) await expect(one).rejects.toThrow('of the loader');
    await expect(
      users.get('1', () => {
        throw new Error('at once');
      }),
    ).rejects.toThrow('at once');
    expect((await users.get('1', load('1')))?.version).toBe(1);
  });

  it('caches null only with negativeTtl', async () => {
    const { users, context } = await start();
    const factory = context.get(NearCacheFactory);
    const negative = factory.create<User | null>('User', { negativeTtl: 1e6 });
    for (const cache of [users, negative]) {
      await cache.get('1', () => null);
      await cache.get('1', () => null);
    }
    expect(users.stats.loads).toBe(2);
    expect(negative.stats.loads).toBe(1);
  });

  it('evicts an entry after its ttl, and the least recently used entry', async () => {
    const { users, load, loads } = await start({ ttl: 30, max: 2 });
    await users.get('1', load('1'));
    await eventually(() => expect(users.peek('1')).toBeUndefined());
    for (const id of ['1', '2', '3']) await users.get(id, load(id));
    expect(users.stats.size).toBe(2);
    expect(loads).toHaveLength(4);
  });

  it('compares the ttl at the read, even if no timer has run since', async () => {
    const { users, load } = await start({ ttl: 20, ttlJitter: 0 });
    await users.get('1', load('1'));
    expect(users.peek('1')?.version).toBe(1);
    // A busy loop stops the process, as a suspension of the machine does.
    const thaw = performance.now() + 50;
    while (performance.now() < thaw);
    expect(users.peek('1')).toBeUndefined();
    expect((await users.get('1', load('1')))?.version).toBe(2);
  });

  it('expires entries by fake timers', async () => {
    const { users, load } = await start({ ttl: 1_000, ttlJitter: 0 });
    vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    await users.get('1', load('1'));
    expect(users.peek('1')?.version).toBe(1);
    vi.setSystemTime(Date.now() + 2_000);
    vi.advanceTimersByTime(2_000);
    expect(users.peek('1')).toBeUndefined();
  });

  it('peek() does not count as a use', async () => {
    const { users, load } = await start({ max: 2 });
    for (const id of ['1', '2']) await users.get(id, load(id));
    const { stats } = users;
    expect(users.peek('1')).toBeDefined();
    expect(users.peek('3')).toBeUndefined();
    expect(users.stats).toEqual(stats);
    await users.get('3', load('3'));
    expect(users.peek('1')).toBeUndefined();
    expect(users.peek('2')).toBeDefined();
  });

  it('getMany() loads each missing id once', async () => {
    const { users, load, publisher } = await start();
    await users.get('1', load('1'));
    const slow = deferred<User>();
    const two = users.get('2', () => slow.promise);
    const asked: string[][] = [];
    const reading = users.getMany(['1', '2', '3', '3', '4'], (ids) => {
      asked.push(ids);
      return new Map(
        ids
          .filter((id) => id !== '4')
          .map((id) => [id, { id, version: 9 }] as const),
      );
    });
    slow.resolve({ id: '2', version: 8 });
    const many = await reading;
    expect(asked).toEqual([['3', '4']]);
    expect([...many].map(([id, user]) => [id, user?.version])).toEqual([
      ['1', 1],
      ['2', 8],
      ['3', 9],
    ]);
    await two;
    await publisher.invalidate('User', 3);
    expect(users.peek('2')?.version).toBe(8);
    expect(users.peek('3')).toBeUndefined();
  });

  it('getMany() caches only the ids that were not invalidated during the load', async () => {
    const { users, publisher } = await start();
    const slow = deferred<Map<string, User>>();
    const reading = users.getMany(['1', '2'], () => slow.promise);
    await publisher.invalidate('User', 1);
    slow.resolve(
      new Map(['1', '2'].map((id) => [id, { id, version: 1 }] as const)),
    );
    expect((await reading).size).toBe(2);
    expect(users.peek('1')).toBeUndefined();
    expect(users.peek('2')).toBeDefined();
  });

  it('getMany() with an id that is refused joins no load, and counts nothing', async () => {
    const { users: joined } = await start({ dependsOn: () => [] });
    const slow = deferred<User>();
    const reading = joined.get('1', () => slow.promise);
    const many = joined.getMany(['1', ''], () => new Map());
    await expect(many).rejects.toThrow(InvalidMessageError);
    slow.reject(new Error('database is down'));
    // The failure has one reader: Vitest reports a rejection without any.
    await expect(reading).rejects.toThrow('database is down');
    expect(joined.stats).toMatchObject({ hits: 0, misses: 1 });
  });

  it('getMany() rejects when its loader fails', async () => {
    const { users } = await start();
    const failing = users.getMany(['1', '2'], () => {
      throw new Error('of the loader');
    });
    await expect(failing).rejects.toThrow('of the loader');
    expect(users.peek('1')).toBeUndefined();
  });

  it('getMany() rejects promises as values', async () => {
    const { users } = await start();
    const failing = users.getMany(['1', '2'], () => {
      const loaded = ['1', '2'].map(
        (id) => [id, Promise.reject(new Error('of the loader'))] as const,
      );
      return new Map(loaded) as never;
    });
    await expect(failing).rejects.toThrow('a map of promises');
    expect(users.stats.size).toBe(0);
  });

  it.each([undefined, '', {}, Number.NaN, ['1']])(
    'rejects the id %j',
    async (id) => {
      const { users, load } = await start();
      await users.get('1', load('1'));
      const wrong = id as unknown as string;
      await expect(users.get(wrong, load('1'))).rejects.toThrow(
        InvalidMessageError,
      );
      await expect(users.getMany([wrong], () => new Map())).rejects.toThrow(
        InvalidMessageError,
      );
    },
  );

  it('reports every invalid option', async () => {
    const { context } = await start();
    const factory = context.get(NearCacheFactory);
    const bad = { max: 0, ttl: -1, ttlJitter: 2, negativeTtl: Number.NaN };
    const l2 = {
      ttl: 0,
      timeout: 0,
      connection: { url: 'redis://h' } as never,
    };
    let thrown: unknown;
    try {
      factory.create('User', { ...bad, l2 });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidationConfigurationError);
    const { problems } = thrown as InvalidationConfigurationError;
    expect(problems.map(({ field }) => field)).toEqual([
      ...Object.keys(bad),
      ...Object.keys(l2).map((field) => `l2.${field}`),
    ]);
  });

  it('caches nothing while staleness exceeds maxStaleness', async () => {
    const { users, load, subscriber } = await start(
      {},
      {
        connection: 'redis://127.0.0.1:1',
        startupTimeout: 10,
        heartbeatInterval: 10,
        heartbeatTimeout: 10,
        maxStaleness: 30,
        whenStale: 'widen',
      },
    );
    await eventually(() => expect(subscriber.bypass).toBe(true));
    await users.get('1', load('1'));
    await users.get('1', load('1'));
    expect(users.stats).toMatchObject({ hits: 0, loads: 2, size: 0 });
  });

  it('serves no older entry once caches are bypassed', async () => {
    const fences = new Fences();
    const source = {
      bypass: false,
      position: null,
      fence: () => fences.take(),
    };
    const cache = new NearCache<number>(
      'User',
      resolveNearCache({}),
      source,
      null,
    );
    const slow = deferred<number>();
    const before = cache.get('2', () => slow.promise);
    await cache.get('1', () => 1);
    source.bypass = true;
    expect(cache.peek('1')).toBeUndefined();
    expect(await cache.get('1', () => 2)).toBe(2);
    const many = await cache.getMany(['1'], () => new Map([['1', 3]]));
    expect(many.get('1')).toBe(3);
    expect(await cache.get('2', () => 4)).toBe(4);
    slow.resolve(5);
    expect(await before).toBe(5);
    source.bypass = false;
    expect(cache.peek('2')).toBeUndefined();
  });

  it('caches nothing when the module is disabled', async () => {
    const { users, load, loads } = await start({}, { enabled: false });
    await users.get('1', load('1'));
    await users.get('1', load('1'));
    expect(loads).toHaveLength(2);
  });

  it('caches nothing after the shutdown', async () => {
    const { users, load, loads, close } = await start();
    await users.get('1', load('1'));
    await close();
    expect(users.peek('1')).toBeUndefined();
    await users.get('1', load('1'));
    await users.get('1', load('1'));
    expect(loads).toHaveLength(3);
  });

  it('applies the default to an undefined option', async () => {
    const { users, load, loads } = await start({ ttl: undefined });
    await users.get('1', load('1'));
    await users.get('1', load('1'));
    expect(loads).toHaveLength(1);
  });

  it('evicts before a handler is called', async () => {
    const app = await startApp();
    const seen: unknown[] = [];
    let users: NearCache<string> | null = null;
    app.subscriber.subscribe(() => seen.push(users?.peek(1)));
    users = app.context.get(NearCacheFactory).create<string>('User');
    await users.get(1, () => 'old');
    await app.publisher.invalidate('User', 1);
    expect(seen).toEqual([undefined]);
  });
});

describe('NearCache in an InvalidationScope', () => {
  it('does not serve changed entries, and does not cache what may be rolled back', async () => {
    const { users, publisher, load } = await start();
    await users.get('1', load('1'));
    const uncommitted = { id: '1', version: -1 };
    const work = InvalidationScope.run(async () => {
      const read = users.get('1', () => uncommitted);
      const many = users.getMany(['1', '2', '1'], (ids) => {
        expect(ids).toEqual(['1', '2']);
        return new Map([['1', uncommitted]]);
      });
      // Callers outside the scope do not join its loads either.
      const other = outsideScopes(() => users.get('2', load('2')));
      expect(await read).toBe(uncommitted);
      expect(await many).toEqual(new Map([['1', uncommitted]]));
      expect((await other)?.version).toBe(2);
      await publisher.invalidate('User', 1);
      throw new Error('rolled back');
    });
    await expect(work).rejects.toThrow('rolled back');
    expect(users.peek('1')?.version).toBe(1);
    expect(users.peek('2')?.version).toBe(2);
  });
});
