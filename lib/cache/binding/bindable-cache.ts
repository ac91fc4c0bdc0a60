import { loopBudget } from '../loop-budget.js';

/** A cache of more entries is cleared by a pattern: a pass would take too long. */
const SWEPT_AT_MOST = 50_000;
/** Entries of an asynchronous cache, which takes longer to list; of more, a pattern clears it. */
const LISTED_AT_MOST = 10_000;
/** Entries between two readings of the clock. */
const CHUNK = 64;

/** A synchronous cache that lists its entries: a `Map`, an `LRUCache`. @publicApi */
export interface KeyedCache {
  delete(key: never): unknown;
  keys(): Iterable<unknown>;
  clear(): unknown;
}

/** A `Keyv`, as far as a binding needs it. @publicApi */
export interface KeyvLike {
  readonly namespace?: string | undefined;
  /** Absent where the store cannot be listed: then patterns clear it. */
  readonly iterator?:
    ((namespace?: string) => AsyncIterable<unknown>) | undefined;
  deleteMany(keys: string[]): Promise<unknown>;
  clear(): Promise<unknown>;
  on?(event: 'error', listener: (error: unknown) => void): unknown;
  off?(event: 'error', listener: (error: unknown) => void): unknown;
}

/** A cache of `cache-manager` 6 or 7, and so `CACHE_MANAGER` of Nest. @publicApi */
export interface CacheManagerLike {
  readonly stores: readonly KeyvLike[];
}

/** A cache that `InvalidationSubscriber.bind()` takes. @publicApi */
export type BindableCache = KeyedCache | KeyvLike | CacheManagerLike;

/**
 * Drops entries of a bound cache, of whichever kind it is.
 *
 * @internal
 */
export interface CacheEntries {
  /** Drops these entries; names that the cache does not have are ignored. */
  drop(names: readonly unknown[]): unknown;
  /**
   * Drops chosen entries in one pass, or all entries if a pass would hold the event
   * loop.
   */
  dropWhere(isChosen: (name: unknown) => boolean): unknown;
  clear(): unknown;
}

/**
 * @returns `null` for an object that is no cache
 * @internal
 */
export function entriesOf(cache: BindableCache): CacheEntries | null {
  if (typeof cache !== 'object' || cache === null) return null;
  if ('stores' in cache && Array.isArray(cache.stores)) {
    const stores = cache.stores as readonly KeyvLike[];
    return stores.every(isKeyv) ? allOf(stores.map(entriesOfKeyv)) : null;
  }
  if (isKeyed(cache)) return entriesOfKeyed(cache);
  return isKeyv(cache) ? entriesOfKeyv(cache) : null;
}

function isKeyed(cache: object): cache is KeyedCache {
  return has(cache, 'delete') && has(cache, 'keys') && has(cache, 'clear');
}

function isKeyv(cache: object): cache is KeyvLike {
  return has(cache, 'deleteMany') && has(cache, 'clear');
}

function has(cache: object, method: string): boolean {
  return typeof (cache as Record<string, unknown>)[method] === 'function';
}

function entriesOfKeyed(cache: KeyedCache): CacheEntries {
  const optional = cache as KeyedCache & {
    readonly size?: unknown;
    purgeStale?(): unknown;
    prune?(): unknown;
  };
  return {
    drop(names) {
      for (const name of names) cache.delete(name as never);
    },
    dropWhere(isChosen) {
      // An LRUCache does not list entries that it is fetching, and would store them.
      if (has(cache, 'fetchMethod') || Number(optional.size) > SWEPT_AT_MOST) {
        cache.clear();
        return;
      }
      const began = performance.now();
      const end = began + loopBudget.left(began);
      if (!dropInTime(cache, isChosen, end)) cache.clear();
      // Expired entries are not listed, but may still be served.
      else if (has(cache, 'purgeStale')) optional.purgeStale!();
      else if (has(cache, 'prune')) optional.prune!();
      loopBudget.spend(performance.now() - began);
    },
    clear: () => cache.clear(),
  };
}

/** @returns whether the pass ended in time */
function dropInTime(
  cache: KeyedCache,
  isChosen: (name: unknown) => boolean,
  end: number,
): boolean {
  let seen = 0;
  for (const name of cache.keys()) {
    if (++seen % CHUNK === 0 && performance.now() > end) return false;
    if (isChosen(name)) cache.delete(name as never);
  }
  return true;
}

function entriesOfKeyv(cache: KeyvLike): CacheEntries {
  const dropWhere = async (
    isChosen: (name: unknown) => boolean,
  ): Promise<unknown> => {
    if (cache.iterator === undefined) return cache.clear();
    const chosen: string[] = [];
    let seen = 0;
    for await (const entry of cache.iterator(cache.namespace)) {
      if (++seen > LISTED_AT_MOST) return cache.clear();
      const [name] = entry as [string];
      if (isChosen(name)) chosen.push(name);
    }
    return cache.deleteMany(chosen);
  };
  return {
    drop: (names) => orThrow(cache, () => cache.deleteMany(names.map(String))),
    dropWhere: (isChosen) => orThrow(cache, () => dropWhere(isChosen)),
    clear: () => orThrow(cache, () => cache.clear()),
  };
}

/** Rejects if the store of a Keyv fails, which emits `error` and rejects nothing. */
async function orThrow(
  cache: KeyvLike,
  act: () => Promise<unknown>,
): Promise<void> {
  const failures: unknown[] = [];
  const onError = (error: unknown): void => void failures.push(error);
  cache.on?.('error', onError);
  try {
    await act();
  } finally {
    cache.off?.('error', onError);
  }
  if (failures.length > 0) throw failures[0];
}

/** Entries of several tiers: a failure in one does not keep the others from dropping. */
function allOf(stores: readonly CacheEntries[]): CacheEntries {
  const each = (act: (store: CacheEntries) => unknown): Promise<unknown> =>
    Promise.all(stores.map(async (store) => act(store)));
  return {
    drop: (names) => each((store) => store.drop(names)),
    dropWhere: (isChosen) => each((store) => store.dropWhere(isChosen)),
    clear: () => each((store) => store.clear()),
  };
}
