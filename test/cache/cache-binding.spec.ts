import { Logger } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { bindCache } from '../../lib/cache/binding/bind-cache.js';
import type { BindOptions } from '../../lib/cache/binding/bind.options.js';
import { CacheBinding } from '../../lib/cache/binding/cache-binding.js';
import {
  batch,
  entity,
  everything,
  Instance,
  pattern,
  patternOf,
  type Invalidation,
} from '../../lib/message/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { makeStream } from '../stream/setup.js';
import { HandSource } from './setup.js';

const instance = new Instance('test');
const debug = vi.spyOn(Logger.prototype, 'debug').mockReturnValue();
const warn = vi.spyOn(Logger.prototype, 'warn').mockReturnValue();
beforeEach(() => {
  debug.mockClear();
  warn.mockClear();
});
afterAll(() => void vi.restoreAllMocks());

/** Entries that record how they were dropped. */
class Entries {
  readonly calls: string[] = [];
  readonly left: Set<unknown>;

  constructor(names: readonly unknown[]) {
    this.left = new Set(names);
  }

  drop(names: readonly unknown[]): void {
    this.calls.push('drop');
    for (const name of names) this.left.delete(name);
  }

  dropWhere(isChosen: (name: unknown) => boolean): void {
    this.calls.push('dropWhere');
    for (const name of this.left) if (isChosen(name)) this.left.delete(name);
  }

  clear(): void {
    this.calls.push('clear');
    this.left.clear();
  }
}

function leftAfter(
  said: Invalidation,
  options: BindOptions,
  names: readonly unknown[],
): { call: string; left: unknown[] } {
  const entries = new Entries(names);
  new CacheBinding(entries, options).apply(instance.stamp(said));
  return { call: entries.calls.join(), left: [...entries.left] };
}

const idOf = (key: string): string | undefined =>
  key.startsWith('user:') ? key.slice('user:'.length) : undefined;
const keyOf = (id: string): string => `user:${id}`;

describe('CacheBinding', () => {
  it.each<[string, Invalidation, BindOptions, string]>([
    ['an entity by its name', entity('User', 1), {}, 'drop'],
    ['a batch by its names', batch(['user:1', 'user:2']), {}, 'drop'],
    ['a pattern by a pass', pattern('user:*'), {}, 'dropWhere'],
    ['everything by clearing', everything(), {}, 'clear'],
    [
      'everything with an empty prefix by clearing',
      everything(),
      { prefix: '' },
      'clear',
    ],
    [
      'everything with a prefix by a pass',
      everything(),
      { prefix: 'app:' },
      'dropWhere',
    ],
    [
      'everything with cacheKeyOf by a pass',
      everything(),
      { cacheKeyOf: keyOf },
      'dropWhere',
    ],
    [
      'everything with both functions by a pass',
      everything(),
      { cacheKeyOf: keyOf, entryOf: idOf },
      'dropWhere',
    ],
    [
      'a pattern with entryOf alone by clearing',
      pattern('user:*'),
      { entryOf: idOf },
      'clear',
    ],
    [
      'an entity with entryOf by its name',
      entity('User', 1),
      { entryOf: idOf },
      'drop',
    ],
    [
      'an entity with both functions by its name',
      entity('User', 1),
      { cacheKeyOf: keyOf, entryOf: idOf },
      'drop',
    ],
    [
      'an entity with cacheKeyOf alone by a pass',
      entity('User', 1),
      { cacheKeyOf: keyOf },
      'dropWhere',
    ],
    [
      'an entity with subKeys by a pass',
      entity('User', 1),
      { subKeys: true },
      'dropWhere',
    ],
    [
      'an entity with subKeys: false by its name',
      entity('User', 1),
      { subKeys: false },
      'drop',
    ],
  ])('drops %s', (_, said, options, call) => {
    expect(leftAfter(said, options, []).call).toBe(call);
  });

  it('drops a batch of 10,000 keys by their names, and clears the cache for a larger one', () => {
    const keys = Array.from({ length: 10_001 }, (_, id) => `user:${id}`);
    for (const options of [{}, { subKeys: true }]) {
      const some = leftAfter(batch(keys.slice(1)), options, [
        'user:0',
        'user:1',
      ]);
      expect(some.left).toEqual(['user:0']);
      expect(leftAfter(batch(keys), options, ['x']).call).toBe('clear');
    }
  });

  it('drops nothing for a key that entryOf does not map', () => {
    const names = ['1', undefined];
    const said = batch(['post:1', 'user:1']);
    expect(leftAfter(said, { entryOf: idOf }, names).left).toEqual([undefined]);
  });

  it('drops an entry of the whole type at each of its keys, and an entry of several keys at one of them', () => {
    const options: BindOptions = {
      cacheKeyOf: (name: string) =>
        name === 'all' ? 'user:' : name.split(','),
    };
    const names = ['all', 'user:1,post:1', 'post:2'];
    expect(leftAfter(entity('User', 1), options, names).left).toEqual([
      'post:2',
    ]);
    expect(leftAfter(entity('User', 2), options, names).left).toEqual(
      names.slice(1),
    );
    expect(leftAfter(pattern('post:?'), options, names).left).toEqual(['all']);
  });

  it('option subKeys: drops keys below a matched key, at any depth, and no others', () => {
    const names = [
      'user:1',
      'user:1:a',
      'user:1:a:b:c',
      'user:12',
      'user:12:a',
      'user',
    ];
    const left = ['user:12', 'user:12:a', 'user'];
    for (const said of [
      entity('User', 1),
      pattern('user:?'),
      pattern('*r:1'),
    ]) {
      expect(leftAfter(said, { subKeys: true }, names).left).toEqual(left);
    }
  });

  it('option subKeys: takes no entity type for a parent', () => {
    const names = ['user:1:a', 'user:1'];
    expect(leftAfter(patternOf('use?'), { subKeys: true }, names).left).toEqual(
      names,
    );
  });

  it('without subKeys drops no keys below a matched key', () => {
    const names = ['user:1', 'user:1:a'];
    expect(leftAfter(pattern('user:?'), {}, names).left).toEqual(['user:1:a']);
  });

  it('option prefix: begins the names that it drops, and those that it looks at', () => {
    const names = ['app:user:1', 'user:1', 'app:user:2', 7];
    const options = { prefix: 'app:' };
    expect(leftAfter(entity('User', 1), options, names).left).toEqual(
      names.slice(1),
    );
    expect(leftAfter(pattern('user:*'), options, names).left).toEqual([
      'user:1',
      7,
    ]);
  });

  it('keeps entries whose names are no texts, and logs that it did, once', () => {
    const names = [7, 8, 'user:1'];
    expect(leftAfter(pattern('user:*'), {}, names)).toEqual({
      call: 'dropWhere',
      left: [7, 8],
    });
    expect(debug.mock.calls).toEqual([
      [
        'A bound cache has an entry that no cache key maps to, so that no message evicts it: check prefix, entryOf (from a cache key to an entry) and cacheKeyOf (from an entry to its cache key), unless that is intended.',
      ],
    ]);
    expect(debug.mock.contexts[0]).toHaveProperty(
      'context',
      'CacheInvalidation',
    );
  });

  it.each<[string, BindOptions, number]>([
    ['are each other’s reverse', { entryOf: idOf, cacheKeyOf: keyOf }, 0],
    [
      'are each other’s reverse with several keys',
      { entryOf: idOf, cacheKeyOf: (id: string) => ['post:1', keyOf(id)] },
      0,
    ],
    ['are not', { entryOf: idOf, cacheKeyOf: (id: string) => id }, 1],
    ['map no key', { entryOf: () => undefined, cacheKeyOf: () => 'x' }, 0],
    ['are only entryOf', { entryOf: idOf }, 0],
    ['are none', {}, 0],
  ])(
    'logs once if functions are swapped: functions that %s',
    (_, options, lines) => {
      const binding = new CacheBinding(new Entries([]), options);
      for (const id of [1, 2])
        binding.apply(instance.stamp(entity('User', id)));
      expect(debug).toHaveBeenCalledTimes(lines);
    },
  );

  it('checks the functions with the first key of a batch only', () => {
    const cacheKeyOf = vi.fn(keyOf);
    const options = { entryOf: idOf, cacheKeyOf };
    leftAfter(batch(['user:1', 'user:2']), options, []);
    expect(cacheKeyOf.mock.calls).toEqual([['1']]);
  });

  it('drops an entry that would take too long to compare', () => {
    const name = `user:${'a'.repeat(20_000)}`;
    const said = patternOf(`user:${'*a'.repeat(400)}*b`);
    expect(leftAfter(said, {}, [name, 'user:b']).left).toEqual(['user:b']);
  });

  it('clears the cache and rethrows after an error in a key function', async () => {
    const entries = new Entries(['1']);
    const binding = new CacheBinding(entries, {
      entryOf: () => {
        throw new Error('of entryOf');
      },
    });
    const applied = binding.apply(instance.stamp(entity('User', 1)));
    expect(entries.left.size).toBe(0);
    await expect(applied).rejects.toThrow('of entryOf');
  });

  it('clears an asynchronous cache that fails, and then rejects', async () => {
    const entries = Object.assign(new Entries(['user:1']), {
      drop: () => Promise.reject(new Error('of the store')),
    });
    const binding = new CacheBinding(entries, {});
    const applied = binding.apply(instance.stamp(entity('User', 1)));
    await expect(applied).rejects.toThrow('of the store');
    expect(entries.left.size).toBe(0);
  });
});

describe('bindCache()', () => {
  it('drops entries until it is ended, and only of messages that `when` passes', () => {
    const { stream, receive } = makeStream();
    const cache = new Map([1, 2, 3].map((id) => [`user:${id}`, id]));
    const end = bindCache(
      stream,
      new HandSource(),
      new ErrorReporter(),
      cache,
      {
        when: ({ metadata }) => metadata !== 'skip',
      },
    );
    receive(entity('User', 1), entity('User', 2, { metadata: 'skip' }));
    end();
    receive(entity('User', 3));
    expect([...cache.keys()]).toEqual(['user:2', 'user:3']);
    expect(stream.handledTypes()).toEqual([]);
  });

  it('takes messages of every type', () => {
    const { stream } = makeStream();
    bindCache(stream, new HandSource(), new ErrorReporter(), new Map(), {});
    expect(stream.handledTypes()).toBeNull();
  });

  it('reports errors under its name', () => {
    const { stream, receive, errors } = makeStream();
    const fails = (): never => {
      throw new Error('of the condition');
    };
    bindCache(stream, new HandSource(), new ErrorReporter(), new Map(), {
      when: fails,
    });
    receive(entity('User', 1));
    expect(errors).toMatchObject([{ source: 'A bound cache' }]);
  });

  it.each([
    [
      {},
      {},
      'A cache cannot be bound:\n  - cache: this is no cache. Give a Map, an LRUCache, a Keyv, a cache of cache-manager, or anything with delete(), keys() and clear().',
    ],
    [
      new Map(),
      { entryOf: String, prefix: 'a' },
      'A cache cannot be bound:\n  - entryOf: prefix is given, too. Give one of them.',
    ],
    [
      new Map(),
      { entryOf: String, subKeys: true },
      'A cache cannot be bound:\n  - subKeys: which entries are meant is not known with entryOf alone. Give cacheKeyOf, too.',
    ],
    [
      new Map(),
      { maxStaleness: 10 },
      'A cache cannot be bound:\n  - maxStaleness: it is not valid. Give 1000 milliseconds or more, or a time such as "2s"; or 0.',
    ],
  ])('rejects what it cannot bind: case %#', (cache, options, message) => {
    const { stream } = makeStream();
    let thrown: unknown;
    try {
      bindCache(
        stream,
        new HandSource(),
        new ErrorReporter(),
        cache as never,
        options,
      );
    } catch (error) {
      thrown = error;
    }
    expect((thrown as Error).message).toBe(message);
  });

  it.each<BindOptions>([
    { prefix: 'a', subKeys: true },
    { entryOf: String, subKeys: false },
    { entryOf: String, cacheKeyOf: keyOf, subKeys: true },
    { cacheKeyOf: keyOf, prefix: 'a' },
  ])('accepts the options %o', (options) => {
    const { stream } = makeStream();
    expect(() =>
      bindCache(
        stream,
        new HandSource(),
        new ErrorReporter(),
        new Map(),
        options,
      ),
    ).not.toThrow();
  });

  it('warns of an LRUCache of more than 100,000 entries, and of no other cache', () => {
    const { stream } = makeStream();
    const bounded = Object.assign(new Map(), { max: 300_000 });
    const unbounded = Object.assign(new Map(), {
      max: '300000',
      purgeStale: () => true,
    });
    const caches = [bounded, unbounded, new LRUCache({ max: 100_000 })];
    for (const cache of caches)
      bindCache(stream, new HandSource(), new ErrorReporter(), cache, {});
    expect(warn).not.toHaveBeenCalled();
    bindCache(
      stream,
      new HandSource(),
      new ErrorReporter(),
      new LRUCache({ max: 100_001 }),
      {},
    );
    expect(warn.mock.calls).toEqual([
      [
        'A bound LRUCache of 100001 entries holds the event loop whenever it is cleared: bind one of 100000 at most, or make a near cache.',
      ],
    ]);
    expect(warn.mock.contexts[0]).toHaveProperty(
      'context',
      'CacheInvalidation',
    );
  });
});
