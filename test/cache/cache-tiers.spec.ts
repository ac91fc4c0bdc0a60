import { describe, expect, it } from 'vitest';
import {
  NearCache,
  resolveNearCache,
  type NearCacheOptions,
} from '../../lib/cache/index.js';
import { Dependencies } from '../../lib/cache/dependencies.js';
import { InvalidationSerializationError } from '../../lib/errors/index.js';
import {
  batch,
  entity,
  everything,
  pattern,
  type Invalidation,
} from '../../lib/message/index.js';
import { eventually } from '../support/eventually.js';
import { deferred, HandSource, makeTier, turn } from './setup.js';

type Row = string | Date | null | undefined;

function makeCache(
  options: NearCacheOptions<Row> = {},
  dependsOn?: (row: Row) => Invalidation | Invalidation[],
) {
  const source = new HandSource();
  const resolved = resolveNearCache<Row>({ l2: {}, ...options });
  const { tier, store, errors } = makeTier<Row>(source, resolved.l2!);
  const cache = new NearCache<Row>(
    'User',
    resolved,
    source,
    tier,
    undefined,
    dependsOn && new Dependencies<Row>('test', dependsOn, null, () => {}),
  );
  return {
    source,
    tier,
    store,
    errors,
    cache,
    entry: (id: string) => store.stored.get(`near:user:${id}`)?.toString(),
    hear: (said: Invalidation, offset: string | null = null) =>
      cache.apply(source.hear(said, offset)),
  };
}

const never = (): never => expect.unreachable();
const puts = (store: { of(command: string): string[] }): string[] =>
  store.of('put');

describe('NearCache with a second tier', () => {
  it('stores a loaded value at the position where its load began', async () => {
    const { cache, entry, source, store } = makeCache();
    await cache.get('1', () => {
      source.hear(entity('Post', 1), '6-0');
      return 'a';
    });
    await eventually(() => expect(entry('1')).toBe('5-0\nv"a"'));
    expect(puts(store)).toEqual(['put near:user:1 5-0']);
    expect(cache.stats).toMatchObject({ l2Hits: 0, l2Errors: 0, size: 1 });
  });

  it('serves a stored value, keeps it in memory, and calls no loader', async () => {
    const { cache, store } = makeCache();
    store.stored.set('near:user:1', Buffer.from('5-0\nv"a"'));
    expect(await cache.get('1', never)).toBe('a');
    expect(cache.peek('1')).toBe('a');
    expect(cache.stats).toMatchObject({ loads: 0, misses: 1, l2Hits: 1 });
    expect(puts(store)).toEqual([]);
  });

  it('getMany() loads only what is not stored, and nothing if all is', async () => {
    const { cache, store, entry } = makeCache();
    store.stored.set('near:user:1', Buffer.from('5-0\nv"a"'));
    const asked: string[][] = [];
    const many = await cache.getMany(['1', '2'], (ids) => {
      asked.push(ids);
      return new Map([['2', 'b']]);
    });
    expect([asked, [...many]]).toEqual([
      [['2']],
      [
        ['1', 'a'],
        ['2', 'b'],
      ],
    ]);
    await eventually(() => expect(entry('2')).toBe('5-0\nv"b"'));
    const other = makeCache();
    for (const [name, bytes] of store.stored)
      other.store.stored.set(name, bytes);
    expect((await other.cache.getMany(['1', '2'], never)).size).toBe(2);
    expect([cache.stats.loads, other.cache.stats.loads]).toEqual([1, 0]);
  });

  it('neither reads nor stores entries while caches are bypassed', async () => {
    const { cache, store, source } = makeCache();
    store.stored.set('near:user:1', Buffer.from('5-0\nv"old"'));
    source.bypass = true;
    expect(await cache.get('1', () => 'new')).toBe('new');
    await turn();
    expect(store.of('get')).toEqual([]);
    expect(puts(store)).toEqual([]);
    source.bypass = false;
    expect(cache.peek('1')).toBeUndefined();
  });

  it('does not store a value whose load began before caches were bypassed, or before close()', async () => {
    for (const end of [
      ({ source }: ReturnType<typeof makeCache>) => (source.bypass = true),
      ({ cache }: ReturnType<typeof makeCache>) => cache.close(),
    ]) {
      const made = makeCache();
      await made.tier.ready;
      const slow = deferred<Row>();
      const reading = made.cache.get('1', () => slow.promise);
      await turn();
      end(made);
      slow.resolve('a');
      expect(await reading).toBe('a');
      await turn();
      expect(puts(made.store)).toEqual([]);
    }
  });

  it('stores nothing while the position is not known', async () => {
    const { cache, store, source } = makeCache();
    source.position = null;
    await cache.get('1', () => 'a');
    await turn();
    expect(puts(store)).toEqual([]);
    expect(cache.peek('1')).toBe('a');
  });

  it.each<[string, Invalidation]>([
    ['its key', entity('User', 1)],
    ['its dependency', entity('Post', 1)],
    ['its type', pattern('user:*')],
  ])(
    'does not store a value if a message about %s overtakes its load',
    async (_, said) => {
      const { cache, store, hear } = makeCache({}, () => entity('Post', 1));
      await cache.get('1', () => {
        hear(said, '6-0');
        return 'a';
      });
      await turn();
      expect(puts(store)).toEqual([]);
      expect(cache.stats).toMatchObject({ overtaken: 1, size: 0 });
    },
  );

  it('stores the dependencies of a value with it', async () => {
    const { cache, entry } = makeCache({}, () => entity('Post', 1));
    await cache.get('1', () => 'a');
    await eventually(() => expect(entry('1')).toBe('5-0\nd["post:1"]\nv"a"'));
  });

  it('refuses a stored entry if its key or a dependency was invalidated since', async () => {
    for (const said of [entity('User', 1), entity('Post', 1)]) {
      const { cache, store, hear } = makeCache();
      hear(said, '6-0');
      await turn();
      const entry = Buffer.from('5-0\nd["post:1"]\nv"old"');
      store.stored.set('near:user:1', entry);
      expect(await cache.get('1', () => 'new')).toBe('new');
      expect(cache.stats).toMatchObject({ l2Refused: 1, l2Hits: 0, loads: 1 });
    }
  });

  it('evicts an entry found in the second tier at a message about its dependency', async () => {
    const { cache, store, hear } = makeCache({}, () => []);
    const entry = Buffer.from('5-0\nd["post:1"]\nv"old"');
    store.stored.set('near:user:1', entry);
    expect(await cache.get('1', never)).toBe('old');
    hear(entity('Post', 1), '6-0');
    expect(cache.peek('1')).toBeUndefined();
  });

  it('does not store a value whose dependencies are not known', async () => {
    const { cache, store } = makeCache({}, () => {
      throw new Error('of the selector');
    });
    expect(await cache.get('1', () => 'a')).toBe('a');
    await turn();
    expect(puts(store)).toEqual([]);
  });

  it('stores that an entity does not exist only with negativeTtl', async () => {
    for (const [negativeTtl, expected] of [
      [0, undefined],
      [60_000, '5-0\nn'],
    ] as const) {
      const { cache, entry, store } = makeCache({ negativeTtl });
      await cache.get('1', () => null);
      await cache.get('2', () => 'b');
      await eventually(() => expect(entry('2')).toBeDefined());
      expect(entry('1')).toBe(expected);
      expect(puts(store)).toHaveLength(negativeTtl === 0 ? 1 : 2);
    }
  });

  it('with the option strict rejects what it cannot store, also at an unknown position', async () => {
    const { cache, source } = makeCache({ l2: { strict: true } });
    source.position = null;
    await expect(cache.get('1', () => new Date())).rejects.toThrow(
      InvalidationSerializationError,
    );
    expect(await cache.get('1', () => 'a')).toBe('a');
  });

  it('without strict does not serialize what it does not store', async () => {
    let calls = 0;
    const serialize = (): string => String(calls++);
    const serializer = { serialize, deserialize: () => 'a' };
    const { cache, source } = makeCache({ l2: { serializer } });
    source.position = null;
    await cache.get('1', () => 'a');
    expect(calls).toBe(0);
  });

  it('works without its second tier, as while the module is disabled', async () => {
    const resolved = resolveNearCache<string>({ l2: { strict: true } });
    const source = new HandSource();
    const cache = new NearCache<string>('User', resolved, source, null);
    expect(await cache.get('1', () => 'a')).toBe('a');
    expect(cache.stats).toMatchObject({ size: 1, l2Hits: 0, l2Errors: 0 });
    expect(() => cache.apply(source.hear(everything()))).not.toThrow();
    cache.close();
  });
});

describe('NearCache with a second tier: messages', () => {
  it('drops the entries of exactly the keys of its type from both tiers', async () => {
    const { cache, hear, store } = makeCache();
    await cache.get('1', () => 'a');
    hear(batch(['user:1', 'post:1', 'user:2']), '6-0');
    expect(cache.peek('1')).toBeUndefined();
    await turn();
    expect(store.of('drop')).toEqual([
      'drop near:user:1 6-0',
      'drop near:user:2 6-0',
    ]);
  });

  it('does nothing for a message about other types', async () => {
    const { cache, hear, store, tier } = makeCache();
    await tier.ready;
    await cache.get('1', () => 'a');
    await turn();
    const { length } = store.calls;
    hear(entity('Post', 1));
    hear(batch(['post:1', 'feed:1']));
    hear(pattern('post:*'), '7-0');
    hear(batch(Array.from({ length: 10_001 }, (_, id) => `post:${id}`)), '8-0');
    await turn();
    expect(store.calls.slice(length)).toEqual([]);
    expect(cache.peek('1')).toBe('a');
  });

  it('removes matching entries, and all entries of its type after a large batch', async () => {
    for (const [said, left, inMemory] of [
      [pattern('user:1*'), ['near:user:2', 'near:users:1'], 'a'],
      [everything(), ['near:users:1'], undefined],
      [
        batch(Array.from({ length: 10_001 }, (_, id) => `user:x${id}`)),
        ['near:users:1'],
        undefined,
      ],
    ] as const) {
      const { hear, store, tier, cache } = makeCache();
      await tier.ready;
      await cache.get('a', () => 'a');
      await turn();
      store.stored.delete('near:user:a');
      for (const name of ['user:1', 'user:2', 'users:1']) {
        store.stored.set(`near:${name}`, Buffer.from('5-0\nv"a"'));
      }
      hear(said, '6-0');
      const names = (): string[] =>
        [...store.stored.keys()].filter((name) => !name.includes('~'));
      await eventually(() => expect(names()).toEqual(left));
      expect(cache.peek('a')).toBe(inMemory);
    }
  });
});
