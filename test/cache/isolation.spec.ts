import {
  Cached,
  InvalidationConfigurationError,
  InvalidationSerializationError,
  NearCacheFactory,
  type NearCache,
  type NearCacheOptions,
} from 'nestjs-cache-invalidation';
import { Injectable } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { startApp, type AppOptions } from '../support/app.js';

interface User {
  name: string;
  readonly roles: string[];
  readonly since: Date;
  readonly tags: Set<string>;
  self?: User;
}

const load = async (): Promise<User> => {
  const user: User = {
    name: 'Ada',
    roles: ['user'],
    since: new Date(0),
    tags: new Set(['a']),
  };
  user.self = user;
  return user;
};

async function start(
  isolate: NearCacheOptions['isolate'],
  options: NearCacheOptions<User> = {},
  app: AppOptions = {},
): Promise<NearCache<User>> {
  const { context, publisher } = await startApp(app);
  await publisher.invalidate('Post', 1);
  return context
    .get(NearCacheFactory)
    .create<User>('User', { ...options, isolate: isolate! });
}

/** Changes a value that other callers may read. */
function change(user: User): void {
  user.name = 'Eve';
}

describe('option isolate: "freeze"', () => {
  it('freezes returned values deeply', async () => {
    const cache = await start('freeze');
    const [one, joined] = await Promise.all([
      cache.get(1, load),
      cache.get(1, load),
    ]);
    const many = await cache.getMany([1, 2], async (ids) => {
      const users = ids.map(async (id) => [id, await load()] as const);
      return new Map(await Promise.all(users));
    });
    const peeked = cache.peek(1)!;
    for (const user of [one, joined, many.get(1)!, many.get(2)!, peeked]) {
      expect(() => change(user)).toThrow(TypeError);
      expect(() => user.roles.push('admin')).toThrow(TypeError);
      expect(() => user.since.setFullYear(1)).toThrow(/change a copy/);
      expect(() => user.tags.add('b')).toThrow(/change a copy/);
      expect(user.since.getTime()).toBe(0);
      expect(user.tags.has('a')).toBe(true);
    }
    expect(one).toBe(joined);
  });

  it('rejects bytes, which cannot be frozen', async () => {
    const { context } = await startApp();
    const cache = context
      .get(NearCacheFactory)
      .create<{ photo: Buffer }>('User', { isolate: 'freeze' });
    await expect(
      cache.get(1, () => ({ photo: Buffer.from('x') })),
    ).rejects.toThrow(InvalidationSerializationError);
    expect(cache.stats.size).toBe(0);
  });

  it('freezes deeply nested data, and calls no getter', async () => {
    interface List {
      next: List | null;
    }
    const { context } = await startApp();
    const cache = context
      .get(NearCacheFactory)
      .create<List>('User', { isolate: 'freeze' });
    let list: List = { next: null };
    for (let depth = 0; depth < 100_000; depth++) list = { next: list };
    Object.defineProperty(list, 'lazy', {
      get: () => expect.unreachable(),
      configurable: true,
    });
    const kept = await cache.get(1, () => list);
    expect(Object.isFrozen(kept.next!.next!.next)).toBe(true);
  });
});

describe('option isolate: "clone"', () => {
  it('gives each reader its own copy', async () => {
    const cache = await start('clone');
    const loaded = await load();
    const [one, joined] = await Promise.all([
      cache.get(1, () => loaded),
      cache.get(1, () => loaded),
    ]);
    for (const user of [loaded, one, joined, cache.peek(1)!]) {
      change(user);
      user.roles.push('admin');
      user.since.setFullYear(1);
      user.tags.add('b');
    }
    const many = await cache.getMany([1], () => new Map());
    for (const user of [await cache.get(1, load), many.get(1)!]) {
      expect(user).toEqual(await load());
    }
    expect(cache.stats.loads).toBe(1);
  });

  it('rejects values with functions', async () => {
    const { context } = await startApp();
    const cache = context
      .get(NearCacheFactory)
      .create<object>('User', { isolate: 'clone' });
    for (const value of [{ save: () => {} }, () => {}]) {
      await expect(cache.get(1, () => value)).rejects.toThrow(
        InvalidationSerializationError,
      );
    }
    expect(await cache.get(1, () => null as never)).toBeNull();
    expect(await cache.get(2, () => 'text' as never)).toBe('text');
    expect(cache.peek(2)).toBe('text');
  });
});

describe('option isolate', () => {
  it.each(['freeze', 'clone'] as const)(
    '"%s" isolates values from the second tier',
    async (isolate) => {
      const flat = async (): Promise<User> => {
        const user = await load();
        delete user.self;
        return user;
      };
      const cache = await start(isolate, { l2: {} });
      const [one, other] = await Promise.all([
        cache.get(1, flat),
        cache.get(1, flat),
      ]);
      try {
        change(one);
      } catch {
        // The value is frozen.
      }
      expect(other.name).toBe('Ada');
      expect((await cache.get(1, flat)).name).toBe('Ada');
    },
  );

  it('works with @Cached', async () => {
    @Injectable()
    class Users {
      @Cached('User', (id: string) => id, { isolate: 'freeze' })
      async find(id: string): Promise<{ id: string }> {
        return { id };
      }
    }
    const { context } = await startApp({ providers: [Users] });
    const user = await context.get(Users).find('1');
    expect(() => (user.id = '2')).toThrow(TypeError);
  });

  it('rejects other values', async () => {
    const { context } = await startApp();
    const create = (isolate: unknown): unknown =>
      context
        .get(NearCacheFactory)
        .create('User', { isolate: isolate as 'clone' });
    expect(() => create('copy')).toThrow(InvalidationConfigurationError);
    expect(() => create('toString')).toThrow(InvalidationConfigurationError);
    expect(() => create(undefined)).not.toThrow();
    expect(() => create(false)).not.toThrow();
  });
});
