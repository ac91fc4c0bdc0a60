import { describe, expect, it, vi } from 'vitest';
import {
  NearCache,
  resolveNearCache,
  type NearCacheOptions,
} from '../../lib/cache/index.js';
import { Dependencies } from '../../lib/cache/dependencies.js';
import { InvalidMessageError } from '../../lib/errors/index.js';
import {
  batch,
  entity,
  pattern,
  type Invalidation,
} from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import { deferred, HandSource, turn } from './setup.js';

type Row = string | undefined;

function makeCache(
  options: NearCacheOptions<Row> = {},
  dependsOn?: (row: Row) => Invalidation,
) {
  const source = new HandSource();
  const onClose = vi.fn();
  const cache = new NearCache<Row>(
    'User',
    resolveNearCache(options),
    source,
    null,
    onClose,
    dependsOn && new Dependencies<Row>('test', dependsOn, null, () => {}),
  );
  return {
    source,
    cache,
    onClose,
    say: (said: Invalidation) => cache.apply(source.hear(said)),
    stats: () => {
      const { hits, misses, loads, overtaken, size } = cache.stats;
      return { hits, misses, loads, overtaken, size };
    },
  };
}

/** A cache whose entries depend on a post. */
const ofPost = (options: NearCacheOptions<Row> = {}) =>
  makeCache(options, () => entity('Post', 1));

const never = (): never => expect.unreachable();
const NO_MAP = new TypeError(
  'loadMany returned no map: return a Map from each id to its value.',
);

describe('NearCache: reads that join a load', () => {
  it('get its value, also if a message overtakes it afterwards', async () => {
    const { cache, say, stats } = makeCache();
    const slow = deferred<Row>();
    const reads = [cache.get('1', () => slow.promise), cache.get('1', never)];
    say(entity('User', 1));
    slow.resolve('old');
    expect(await Promise.all(reads)).toEqual(['old', 'old']);
    expect(stats()).toEqual({
      hits: 0,
      misses: 2,
      loads: 1,
      overtaken: 1,
      size: 0,
    });
  });

  it('begin no load of their own for a message about another entity', async () => {
    const { cache, say, stats } = makeCache();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    say(entity('User', 2));
    const second = cache.get('1', never);
    slow.resolve('old');
    expect(await Promise.all([first, second])).toEqual(['old', 'old']);
    expect(stats()).toMatchObject({ loads: 1, overtaken: 0, size: 1 });
    expect(await cache.get('1', never)).toBe('old');
    expect(stats()).toMatchObject({ hits: 1, misses: 2 });
  });

  it('join the newest load, also after the one it has replaced has landed', async () => {
    const { cache, say, stats } = makeCache();
    const loads = [deferred<Row>(), deferred<Row>()];
    const first = cache.get('1', () => loads[0]!.promise);
    say(entity('User', 1));
    const second = cache.get('1', () => loads[1]!.promise);
    loads[0]!.resolve('old');
    expect(await first).toBe('old');
    const third = cache.get('1', never);
    loads[1]!.resolve('new');
    expect(await Promise.all([second, third])).toEqual(['new', 'new']);
    expect(stats()).toMatchObject({ loads: 2, overtaken: 1, size: 1 });
  });

  it('join the newest load, also after the one it has replaced has failed', async () => {
    const { cache, say } = makeCache();
    const loads = [deferred<Row>(), deferred<Row>()];
    const first = cache.get('1', () => loads[0]!.promise);
    say(entity('User', 1));
    const second = cache.get('1', () => loads[1]!.promise);
    loads[0]!.reject(new Error('of the loader'));
    await expect(first).rejects.toThrow('of the loader');
    const third = cache.get('1', never);
    loads[1]!.resolve('new');
    expect(await Promise.all([second, third])).toEqual(['new', 'new']);
  });

  it('join no load that failed', async () => {
    const { cache } = makeCache();
    const failing = cache.get('1', () => Promise.reject(new Error('away')));
    await expect(failing).rejects.toThrow('away');
    expect(await cache.get('1', () => 'new')).toBe('new');
  });

  it('join loads of the time while caches are bypassed, and no earlier ones', async () => {
    const { cache, source, stats } = makeCache();
    const loads = [deferred<Row>(), deferred<Row>()];
    const early = cache.get('1', () => loads[0]!.promise);
    source.bypass = true;
    const bypassed = [
      cache.get('1', () => loads[1]!.promise),
      cache.get('1', never),
    ];
    loads[0]!.resolve('old');
    loads[1]!.resolve('new');
    expect(await Promise.all([early, ...bypassed])).toEqual([
      'old',
      'new',
      'new',
    ]);
    expect(stats()).toMatchObject({ hits: 0, loads: 2, size: 0 });
  });

  it('join no load from before caches were served again, which has missed messages', async () => {
    const { cache, source } = makeCache();
    const slow = deferred<Row>();
    source.bypass = true;
    const bypassed = cache.get('1', () => slow.promise);
    source.bypass = false;
    const read = cache.get('1', () => 'new');
    slow.resolve('old');
    expect(await Promise.all([bypassed, read])).toEqual(['old', 'new']);
    expect(cache.peek('1')).toBe('new');
  });

  it('load again if a dependency has overtaken their load, also while caches are bypassed', async () => {
    const { cache, source, say, stats } = ofPost();
    const slow = deferred<Row>();
    source.bypass = true;
    const early = cache.get('1', () => slow.promise);
    say(entity('Post', 1));
    const late = cache.get('1', () => 'new');
    slow.resolve('old');
    expect(await Promise.all([early, late])).toEqual(['old', 'new']);
    expect(stats()).toMatchObject({ hits: 0, loads: 2, size: 0 });
  });

  it('of a load of many call their own loader if that left out their id', async () => {
    const { cache, stats } = makeCache();
    const slow = deferred<Map<string, Row>>();
    const many = cache.getMany(['1', '2'], () => slow.promise);
    const reads = [cache.get('1', () => 'own'), cache.get('2', never)];
    slow.resolve(new Map([['2', 'of many']]));
    expect(await Promise.all(reads)).toEqual(['own', 'of many']);
    expect([...(await many)]).toEqual([['2', 'of many']]);
    expect(stats()).toMatchObject({ hits: 0, loads: 2 });
  });
});

describe('NearCache: loads of many', () => {
  it('ask once for each missing id, and not for those in memory or on the way', async () => {
    const { cache, stats } = makeCache();
    await cache.get('1', () => 'a');
    const slow = deferred<Row>();
    const one = cache.get('2', () => slow.promise);
    const asked: string[][] = [];
    const many = cache.getMany(['1', '2', '3', '3'], (ids) => {
      asked.push(ids);
      return new Map([['3', 'c']]);
    });
    slow.resolve('b');
    expect([...(await many)]).toEqual([
      ['1', 'a'],
      ['2', 'b'],
      ['3', 'c'],
    ]);
    expect(asked).toEqual([['3']]);
    expect(stats()).toEqual({
      hits: 1,
      misses: 4,
      loads: 3,
      overtaken: 0,
      size: 3,
    });
    await one;
    expect((await cache.getMany(['1', '3'], never)).size).toBe(2);
    expect(stats()).toMatchObject({ hits: 3, loads: 3 });
    expect((await cache.getMany([], never)).size).toBe(0);
  });

  it('reject if one of the values is a promise, and keep nothing', async () => {
    const { cache, stats } = makeCache();
    const rejected = Promise.reject(new Error('of the loader'));
    const values = new Map<string, unknown>([
      ['1', 'a'],
      ['2', rejected],
    ]);
    const many = cache.getMany(['1', '2'], () => values as never);
    await expect(many).rejects.toThrow(
      new TypeError(
        'loadMany returned a map of promises: return a map of what they resolve to.',
      ),
    );
    expect(stats()).toMatchObject({ size: 0 });
  });

  const NO_MAPS = [[{ id: '1' }], { 1: 'a' }, 'a', undefined, null];

  it.each(NO_MAPS)('reject if the loader returns %j, no map', async (none) => {
    const { cache, stats } = makeCache();
    const read = () => cache.getMany(['1', '2'], () => none as never);
    await expect(read()).rejects.toThrow(NO_MAP);
    await expect(InvalidationScope.run(read)).rejects.toThrow(NO_MAP);
    expect(stats()).toMatchObject({ size: 0 });
  });

  it('of ids that are none reject before anything is loaded', async () => {
    const { cache } = makeCache();
    await expect(cache.getMany([''], never)).rejects.toThrow(
      InvalidMessageError,
    );
    await expect(cache.get('', never)).rejects.toThrow(InvalidMessageError);
    await expect(cache.get(Number.NaN, never)).rejects.toThrow(
      InvalidMessageError,
    );
    expect(cache.peek({} as never)).toBeUndefined();
    await cache.get('NaN', () => 'a');
    expect(cache.peek(Number.NaN)).toBeUndefined();
    expect(cache.peek(null as never)).toBeUndefined();
  });

  it('read a number, a bigint and their digits as one id', async () => {
    const { cache } = makeCache();
    await cache.get(1, () => 'a');
    expect([cache.peek('1'), cache.peek(1n), cache.peek(1)]).toEqual([
      'a',
      'a',
      'a',
    ]);
  });
});

describe('NearCache with the option dependsOn: reads that join a load', () => {
  it('load again, once for all, if a dependency was invalidated during it', async () => {
    const { cache, say, stats } = ofPost();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    say(entity('Post', 1));
    const again = vi.fn(() => 'new');
    const later = [cache.get('1', again), cache.get('1', again)];
    slow.resolve('old');
    expect(await first).toBe('old');
    expect(await Promise.all(later)).toEqual(['new', 'new']);
    expect(again).toHaveBeenCalledOnce();
    expect(stats()).toMatchObject({ loads: 2, overtaken: 1, size: 1 });
  });

  it('do not load again after messages about other entities', async () => {
    const { cache, say, stats } = ofPost();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    say(entity('Post', 2));
    const second = cache.get('1', never);
    const many = cache.getMany(['1'], never);
    slow.resolve('a');
    expect(await Promise.all([first, second])).toEqual(['a', 'a']);
    expect((await many).get('1')).toBe('a');
    expect(stats()).toMatchObject({ loads: 1, size: 1 });
  });

  it('do not load again for a value that is not kept anyway', async () => {
    const { cache } = ofPost();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    const second = cache.get('1', never);
    slow.resolve(undefined);
    expect(await Promise.all([first, second])).toEqual([undefined, undefined]);
  });

  it('load by themselves if the newer load is one of many, which may leave out ids', async () => {
    const { cache, say } = ofPost();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    say(entity('Post', 1));
    const second = cache.get('1', () => 'own');
    say(entity('User', 1));
    const empty = deferred<Map<string, Row>>();
    const many = cache.getMany(['1'], () => empty.promise);
    slow.resolve('old');
    expect(await first).toBe('old');
    expect(await second).toBe('own');
    empty.resolve(new Map());
    expect((await many).size).toBe(0);
  });

  it('of one call their own loader if a repeated load of many left out their id', async () => {
    const { cache, say } = ofPost();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    say(entity('Post', 1));
    const empty = deferred<Map<string, Row>>();
    const many = cache.getMany(['1'], () => empty.promise);
    slow.resolve('old');
    await first;
    await turn();
    const single = cache.get('1', () => 'own');
    empty.resolve(new Map());
    expect(await single).toBe('own');
    expect((await many).size).toBe(0);
  });

  it('of many load their missing ids again', async () => {
    const { cache, say } = ofPost();
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    say(entity('Post', 1));
    const many = cache.getMany(
      ['1'],
      (ids) => new Map(ids.map((id) => [id, 'new'])),
    );
    slow.resolve('old');
    expect(await first).toBe('old');
    expect((await many).get('1')).toBe('new');
  });

  it.each<[string, Invalidation | null, Row]>([
    [
      'load again after any message if the selector fails',
      entity('Feed', 1),
      'new',
    ],
    ['share the value without a message if the selector fails', null, 'old'],
  ])('%s', async (_, said, expected) => {
    const { cache, say, stats } = makeCache({}, () => {
      throw new Error('of the selector');
    });
    const slow = deferred<Row>();
    const first = cache.get('1', () => slow.promise);
    const second = cache.get('1', () => 'new');
    if (said !== null) say(said);
    slow.resolve('old');
    expect(await first).toBe('old');
    expect(await second).toBe(expected);
    expect(stats()).toMatchObject({ size: 0, overtaken: 0 });
  });
});

describe('NearCache with the option dependsOn', () => {
  it('evicts an entry at a message about its dependency', async () => {
    const { cache, say } = ofPost();
    await cache.get('1', () => 'a');
    say(entity('Post', 2));
    expect(cache.peek('1')).toBe('a');
    say(pattern('post:*'));
    expect(cache.peek('1')).toBeUndefined();
  });

  it('receives messages of every type, and without it those of its own', () => {
    expect(ofPost().cache.handledTypes).toBeNull();
    expect(makeCache().cache.handledTypes).toEqual(['User']);
  });
});

describe('NearCache: the option isolate', () => {
  it('clones a value for each read of each kind', async () => {
    const cache = new NearCache<{ name: string }>(
      'User',
      resolveNearCache({ isolate: 'clone' }),
      new HandSource(),
      null,
    );
    const loaded = { name: 'Ada' };
    const reads = [
      await cache.get('1', () => loaded),
      await cache.get('1', never),
      (await cache.getMany(['1'], never)).get('1')!,
      cache.peek('1')!,
    ];
    expect(new Set([loaded, ...reads]).size).toBe(5);
    for (const read of reads) expect(read).toEqual({ name: 'Ada' });
    expect(cache.peek('2')).toBeUndefined();
    cache.close();
  });

  it('peeks at a frozen value', async () => {
    const { cache } = makeCache({ isolate: 'freeze' });
    await cache.get('1', () => 'a');
    expect(cache.peek('1')).toBe('a');
  });

  it('clones a value for a read that joined a load of many', async () => {
    const cache = new NearCache<{ name: string }>(
      'User',
      resolveNearCache({ isolate: 'clone' }),
      new HandSource(),
      null,
    );
    const many = cache.getMany(['1'], () => new Map([['1', { name: 'Ada' }]]));
    const one = cache.get('1', never);
    expect(await one).toEqual({ name: 'Ada' });
    expect(await one).not.toBe((await many).get('1'));
  });
});

describe('NearCache: reads beside the cache', () => {
  it('call their loader each time once it is closed, and keep nothing', async () => {
    const { cache, onClose, stats } = makeCache();
    await cache.get('1', () => 'a');
    const slow = deferred<Row>();
    const late = cache.get('2', () => slow.promise);
    cache.close();
    cache.close();
    expect(onClose).toHaveBeenCalledOnce();
    slow.resolve('late');
    expect(await late).toBe('late');
    expect(stats()).toEqual({
      hits: 0,
      misses: 2,
      loads: 2,
      overtaken: 0,
      size: 0,
    });
    for (const value of ['b', 'c']) {
      expect(await cache.get('1', () => value)).toBe(value);
    }
    const asked: string[][] = [];
    const many = await cache.getMany(['1', '2', '1'], (ids) => {
      asked.push(ids);
      return new Map([['2', 'b']]);
    });
    expect([asked, [...many]]).toEqual([[['1', '2']], [['2', 'b']]]);
    expect(stats()).toMatchObject({ misses: 5, loads: 5, size: 0 });
    expect((await cache.getMany([], never)).size).toBe(0);
    expect(stats()).toMatchObject({ misses: 5, loads: 5 });
    await expect(cache.getMany(['1', ''], never)).rejects.toThrow(
      InvalidMessageError,
    );
    await expect(cache.get('', never)).rejects.toThrow(InvalidMessageError);
  });

  it('call their loader in an InvalidationScope', async () => {
    const { cache } = makeCache();
    await cache.get('1', () => 'a');
    await InvalidationScope.run(async () => {
      expect(await cache.get('1', () => 'own')).toBe('own');
      const many = await cache.getMany(['1'], () => new Map([['1', 'own']]));
      expect(many.get('1')).toBe('own');
    });
    expect(await cache.get('1', never)).toBe('a');
  });
});

describe('NearCache: lifetimes', () => {
  it('keeps nothing of entities that do not exist, unless negativeTtl is given', async () => {
    const [without, remembering] = [
      makeCache(),
      makeCache({ negativeTtl: 60_000 }),
    ];
    for (const { cache } of [without, remembering]) {
      for (let at = 0; at < 2; at++) await cache.get('1', () => undefined);
      await cache.getMany(['2'], () => new Map());
    }
    expect(without.stats()).toMatchObject({ loads: 3, size: 0 });
    expect(remembering.stats()).toMatchObject({ loads: 2, hits: 1, size: 2 });
    expect(remembering.cache.peek('1')).toBeUndefined();
  });

  it('evicts the entries of exactly the keys of a batch', async () => {
    const { cache, say } = makeCache();
    for (const id of ['1', '2', '3']) await cache.get(id, () => id);
    say(batch(['user:1', 'post:2', 'users:3']));
    expect(['1', '2', '3'].map((id) => cache.peek(id))).toEqual([
      undefined,
      '2',
      '3',
    ]);
  });

  it('evicts the keys of a batch of 10,000 one by one, and everything at a larger one of its type', async () => {
    const { cache, say } = makeCache();
    const keys = (type: string): string[] =>
      Array.from({ length: 10_001 }, (_, id) => `${type}:${id}`);
    await cache.get('a', () => 'a');
    await cache.get('10000', () => 'b');
    say(batch(keys('user').slice(0, 10_000)));
    expect([cache.peek('a'), cache.peek('10000')]).toEqual(['a', 'b']);
    say(batch(keys('post')));
    expect(cache.peek('a')).toBe('a');
    say(batch(keys('user')));
    expect(cache.peek('a')).toBeUndefined();
  });
});
