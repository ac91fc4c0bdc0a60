import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import { NearCacheList } from '../../lib/cache/near/near-cache-list.js';
import { sumOf } from '../../lib/cache/near/near-cache-stats.js';
import { entity } from '../../lib/message/index.js';
import { Fences } from '../../lib/stream/index.js';
import { eventually } from '../support/eventually.js';
import { makeStream } from '../stream/setup.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

afterAll(() => void vi.restoreAllMocks());

const fences = new Fences();
const source = { fence: () => fences.take(), position: null, bypass: false };

function cacheOf(type = 'User'): NearCache<string> {
  return new NearCache(type, resolveNearCache({}), source, null);
}

function makeList() {
  const made = makeStream();
  return { ...made, list: new NearCacheList(made.stream) };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('NearCacheList', () => {
  it('hands messages of its type to a cache until it is removed', async () => {
    const { list, receive, stream } = makeList();
    const [kept, removed] = [cacheOf(), cacheOf()];
    for (const cache of [kept, removed]) {
      list.add('User', cache as never, false);
      await cache.get('1', () => 'Ada');
    }
    expect(stream.handledTypes()).toEqual(['User']);
    list.remove(removed as never);
    list.remove(removed as never);
    list.remove(cacheOf() as never);
    receive(entity('User', 1));
    expect(kept.peek('1')).toBeUndefined();
    expect(removed.peek('1')).toBe('Ada');
    list.remove(kept as never);
    expect(stream.handledTypes()).toEqual([]);
  });

  it('names up to nine caches of one name, and counts the others together', async () => {
    const { list } = makeList();
    const caches = Array.from({ length: 12 }, () => cacheOf());
    for (const cache of caches) {
      list.add('User', cache as never, false);
      await cache.get('1', () => 'Ada');
    }
    const numbers = [2, 3, 4, 5, 6, 7, 8, 9, 'more'];
    const names = ['User', ...numbers.map((number) => `User-${number}`)];
    expect([...list.stats().keys()]).toEqual(names);
    expect(list.stats().get('User-9')).toMatchObject({ loads: 1, size: 1 });
    expect(list.stats().get('User-more')).toMatchObject({ loads: 3, size: 3 });
    for (const at of [0, 4, 11]) list.remove(caches[at] as never);
    expect(list.stats().get('User-more')).toMatchObject({ loads: 2 });
    const next = [cacheOf(), cacheOf()];
    for (const cache of next) list.add('User', cache as never, false);
    expect([...list.stats().keys()]).toHaveLength(10);
    expect(list.stats().get('User')).toMatchObject({ loads: 0 });
    expect(list.stats().get('User-5')).toMatchObject({ loads: 0 });
  });

  it('counts caches of the 1,001st name together', () => {
    const { list, logged } = makeList();
    const caches = Array.from({ length: 1_002 }, () => cacheOf());
    for (const [at, cache] of caches.entries()) {
      list.add(`name-${at}`, cache as never, false);
    }
    const names = [...list.stats().keys()];
    expect(names.slice(-2)).toEqual(['name-999', 'more']);
    expect(logged().join()).toContain('A near cache has been');
  });

  it('knows the entity types of its caches, each once', () => {
    const { list } = makeList();
    const caches = ['User', 'Post', 'User'].map((type) => cacheOf(type));
    for (const cache of caches) list.add('any', cache as never, false);
    expect(list.entityTypes()).toEqual(['User', 'Post']);
  });

  it('closes its caches, whose counts can still be read', async () => {
    const { list } = makeList();
    const cache = new NearCache<string>(
      'User',
      resolveNearCache({}),
      source,
      null,
      () => list.remove(cache as never),
    );
    list.add('User', cache as never, false);
    await cache.get('1', () => 'Ada');
    list.close();
    expect(cache.peek('1')).toBeUndefined();
    expect(list.stats().get('User')).toMatchObject({ loads: 1, size: 0 });
  });

  it('forgets caches that nobody refers to, and keeps pinned ones', async () => {
    const { list, stream, receive, errors } = makeList();
    for (const type of ['A', 'B', 'C'])
      list.add(type, cacheOf(type) as never, false);
    list.add('Pinned', cacheOf('Pinned') as never, true);
    await turn();
    collectGarbage();
    // Not finalized yet; the last one may still be referenced from the stack.
    expect(list.stats().size).toBeLessThan(4);
    expect(list.stats().has('Pinned')).toBe(true);
    expect(list.entityTypes().length).toBeLessThan(4);
    expect(['A', 'B', 'C', 'Pinned']).toEqual(
      expect.arrayContaining(list.entityTypes()),
    );
    receive(entity('A', 1), entity('B', 1), entity('C', 1));
    expect(errors).toEqual([]);
    await eventually(() => {
      collectGarbage();
      expect(stream.handledTypes()!.length).toBeLessThan(3);
    });
    expect(stream.handledTypes()).toContain('Pinned');
    const again = cacheOf('A');
    list.add('A', again as never, false);
    expect([...list.stats().keys()]).toContain('A');
    list.close();
  });

  it('closes while a cache is no longer there', async () => {
    const { list } = makeList();
    for (const type of ['A', 'B', 'C'])
      list.add(type, cacheOf(type) as never, false);
    await turn();
    collectGarbage();
    expect(() => list.close()).not.toThrow();
  });
});

describe('sumOf()', () => {
  it('adds every count', () => {
    const one = {
      hits: 1,
      misses: 2,
      loads: 3,
      overtaken: 4,
      behind: 0,
      primaryLoads: 0,
      size: 5,
      l2Hits: 6,
      l2Refused: 7,
      l2Errors: 8,
      l2Unshared: 9,
    };
    const names = Object.keys(one) as (keyof typeof one)[];
    const other = Object.fromEntries(
      names.map((name) => [name, 10 * one[name]]),
    ) as unknown as typeof one;
    expect(sumOf(one, other)).toEqual(
      Object.fromEntries(names.map((name) => [name, 11 * one[name]])),
    );
  });
});
