import { EventEmitter } from 'node:events';
import { Keyv } from 'keyv';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { entriesOf } from '../../lib/cache/binding/bindable-cache.js';

const method = (): unknown => undefined;

/** The clock of the process, which a test moves; later in each test than in any before. */
let latest = 1_000_000;
function handDriven(): { now: number; read: () => number } {
  latest += 1_000_000;
  const clock = { now: latest, read: () => clock.now };
  vi.spyOn(performance, 'now').mockImplementation(() => clock.read());
  onTestFinished(() => void vi.restoreAllMocks());
  return clock;
}

/** A cache that lists names up to a count, and records its calls. */
function listing(count: number, extra: object = {}) {
  const dropped: unknown[] = [];
  return {
    size: count,
    dropped,
    cleared: 0,
    delete: (name: number) => dropped.push(name),
    keys: () => Array.from({ length: count }, (_, at) => at + 1),
    clear() {
      this.cleared++;
    },
    ...extra,
  };
}

/** A Keyv, as far as a binding needs it. */
function keyvLike(count: number, extra: object = {}) {
  return {
    deleted: [] as string[][],
    cleared: 0,
    async *iterator() {
      for (let at = 1; at <= count; at++) yield [String(at), at];
    },
    async deleteMany(names: string[]) {
      this.deleted.push(names);
    },
    async clear() {
      this.cleared++;
    },
    ...extra,
  };
}

describe('entriesOf()', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'cache'],
    ['a number', 7],
    [
      'a function with the methods of a cache',
      Object.assign(() => undefined, {
        delete: method,
        keys: method,
        clear: method,
      }),
    ],
    ['an object without methods', {}],
    ['a cache without delete()', { keys: method, clear: method }],
    ['a cache without keys()', { delete: method, clear: method }],
    ['a cache without clear()', { delete: method, keys: method }],
    ['a cache whose keys are no method', { ...listing(1), keys: [] }],
    ['a Keyv without clear()', { deleteMany: method }],
    ['a Keyv without deleteMany()', { clear: method }],
    ['a cache-manager with a store of another kind', { stores: [{}] }],
    [
      'a cache-manager of which one store is of another kind',
      { stores: [new Keyv(), {}] },
    ],
    ['a cache-manager of an older version', { store: new Keyv() }],
  ])('finds no cache in %s', (_, cache) => {
    expect(entriesOf(cache as never)).toBeNull();
  });

  it('takes a cache with a property named stores for what its methods say', () => {
    const cache = listing(1, { stores: 3 });
    entriesOf(cache)!.clear();
    expect(cache.cleared).toBe(1);
  });
});

describe('entriesOf() a synchronous cache', () => {
  it('drops names one by one, and clears', () => {
    const cache = listing(3);
    const entries = entriesOf(cache)!;
    entries.drop([1, 3]);
    expect(cache.dropped).toEqual([1, 3]);
    expect(cache.cleared).toBe(0);
    entries.clear();
    expect(cache.cleared).toBe(1);
  });

  it('drops the chosen entries in one pass, and no others', () => {
    handDriven();
    const cache = listing(200);
    entriesOf(cache)!.dropWhere((name) => name === 64 || name === 128);
    expect(cache.dropped).toEqual([64, 128]);
    expect(cache.cleared).toBe(0);
  });

  it('makes a pass over 50,000 entries, and clears a cache of one more', () => {
    handDriven();
    const caches = [50_000, 50_001].map((size) => listing(1, { size }));
    for (const cache of caches) entriesOf(cache)!.dropWhere(() => true);
    expect(caches.map(({ dropped, cleared }) => [dropped, cleared])).toEqual([
      [[1], 0],
      [[], 1],
    ]);
  });

  it('clears a cache that may be fetching entries, which are not listed', () => {
    const cache = listing(3, { fetchMethod: method });
    entriesOf(cache)!.dropWhere(() => false);
    expect(cache.cleared).toBe(1);
  });

  it('reads the clock every 64 entries, and clears the cache when its time is over', () => {
    const clock = handDriven();
    const cache = listing(200);
    let seen = 0;
    entriesOf(cache)!.dropWhere(() => {
      seen++;
      clock.now += 21;
      return false;
    });
    expect(seen).toBe(63);
    expect(cache.cleared).toBe(1);
  });

  it('may use all of the time, to the last millisecond', () => {
    const clock = handDriven();
    const began = clock.now;
    const cache = listing(200);
    entriesOf(cache)!.dropWhere(() => {
      clock.now = began + 20;
      return false;
    });
    expect(cache.cleared).toBe(0);
  });

  it('shares the time with the passes over other caches', () => {
    const clock = handDriven();
    const began = clock.now;
    const caches = [listing(100), listing(100), listing(100)];
    for (const [at, cache] of caches.entries()) {
      entriesOf(cache)!.dropWhere(() => {
        clock.now = began + 10 * (at + 1) + (at === 2 ? 1 : 0);
        return false;
      });
    }
    expect(caches.map(({ cleared }) => cleared)).toEqual([0, 0, 1]);
  });

  it('drops expired entries, which are not listed, after a pass', () => {
    handDriven();
    const purgeStale = vi.fn();
    const prune = vi.fn();
    entriesOf(listing(1, { purgeStale }))!.dropWhere(() => true);
    expect(purgeStale).toHaveBeenCalledOnce();
    entriesOf(listing(1, { prune }))!.dropWhere(() => true);
    expect(prune).toHaveBeenCalledOnce();
  });

  it('leaves expired entries to clear() after a pass that took too long', () => {
    const clock = handDriven();
    const purgeStale = vi.fn();
    const cache = listing(64, { purgeStale });
    entriesOf(cache)!.dropWhere(() => {
      clock.now += 30;
      return true;
    });
    expect(cache.cleared).toBe(1);
    expect(purgeStale).not.toHaveBeenCalled();
  });
});

describe('entriesOf() a Keyv', () => {
  it('drops names as texts, all at once', async () => {
    const keyv = keyvLike(0);
    await entriesOf(keyv)!.drop(['user:1', 7]);
    expect(keyv.deleted).toEqual([['user:1', '7']]);
    expect(keyv.cleared).toBe(0);
  });

  it('drops the chosen entries of its namespace', async () => {
    const asked: unknown[] = [];
    const keyv = keyvLike(3, {
      namespace: 'mine',
      async *iterator(namespace: unknown) {
        asked.push(namespace);
        yield ['a', 1];
        yield ['b', 2];
      },
    });
    await entriesOf(keyv)!.dropWhere((name) => name === 'b');
    expect(asked).toEqual(['mine']);
    expect(keyv.deleted).toEqual([['b']]);
    expect(keyv.cleared).toBe(0);
  });

  it('lists 10,000 entries, and clears a store of more, or one that it cannot list', async () => {
    const keyvs = [
      keyvLike(10_000),
      keyvLike(10_001),
      keyvLike(1, { iterator: undefined }),
    ];
    for (const keyv of keyvs) {
      await entriesOf(keyv)!.dropWhere((name) => name === '1');
    }
    expect(keyvs.map(({ deleted, cleared }) => [deleted, cleared])).toEqual([
      [[['1']], 0],
      [[], 1],
      [[], 1],
    ]);
  });

  it.each([
    [
      'drop()',
      'deleteMany',
      (cache: unknown) => entriesOf(cache as never)!.drop(['a']),
    ],
    [
      'dropWhere()',
      'deleteMany',
      (cache: unknown) => entriesOf(cache as never)!.dropWhere(() => true),
    ],
    [
      'clear()',
      'clear',
      (cache: unknown) => entriesOf(cache as never)!.clear(),
    ],
  ])(
    '%s rejects with the error that a store emits, and stops listening',
    async (_, failing, act) => {
      const emitter = new EventEmitter();
      emitter.on('error', () => undefined);
      const keyv = Object.assign(emitter, keyvLike(1), {
        [failing]: async () => {
          emitter.emit('error', new Error('of the store'));
          emitter.emit('error', new Error('another one'));
        },
      });
      await expect(act(keyv)).rejects.toThrow('of the store');
      expect(emitter.listenerCount('error')).toBe(1);
    },
  );

  it('stops listening to a store that rejects', async () => {
    const emitter = new EventEmitter();
    const keyv = Object.assign(emitter, keyvLike(1), {
      deleteMany: () => Promise.reject(new Error('of the store')),
    });
    await expect(entriesOf(keyv)!.drop(['a'])).rejects.toThrow('of the store');
    expect(emitter.listenerCount('error')).toBe(0);
  });
});

describe('entriesOf() a cache-manager', () => {
  it('drops and clears in every store, also if one of them fails', async () => {
    const failing = keyvLike(1, {
      deleteMany: (names: string[]) => {
        if (names.includes('1')) throw new Error('of the first store');
      },
    });
    const other = keyvLike(2);
    const entries = entriesOf({ stores: [failing, other] })!;
    await expect(entries.drop(['1'])).rejects.toThrow('of the first store');
    const dropping = entries.dropWhere((name) => name === '2');
    await expect(dropping).resolves.toBeDefined();
    await entries.clear();
    expect(other.deleted).toEqual([['1'], ['2']]);
    expect([failing.cleared, other.cleared]).toEqual([1, 1]);
  });
});
