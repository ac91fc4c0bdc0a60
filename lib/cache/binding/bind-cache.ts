import { Logger } from '@nestjs/common';
import { InvalidationConfigurationError } from '../../errors/index.js';
import {
  compileWithin,
  familyOf,
  keysOf,
  weighAffecting,
  type InvalidationMessage,
} from '../../message/index.js';
import {
  atOnce,
  isPromiseLike,
  type InvalidationCondition,
  type InvalidationStream,
} from '../../stream/index.js';
import {
  entriesOf,
  type BindableCache,
  type CacheEntries,
} from './bindable-cache.js';

/** Keys of one message; for a larger batch all of a cache is dropped. */
const BATCH_LIMIT = 10_000;
/** Entries of an LRUCache, which clears 1,000 in 0.3 ms. */
const LARGEST = 100_000;
/** Steps of one comparison, some 10 µs: beyond it an entry goes unseen. */
const KEY_STEPS = 5_000;

/**
 * How a bound cache names its entries. Without any of it an entry's name is its
 * cache key: `user:123`.
 *
 * @publicApi
 */
export interface BindOptions {
  /** What stands before the cache key in every entry's name, such as `app:`. */
  readonly prefix?: string;
  /**
   * Maps a cache key (`user:123`, as it is invalidated) to the name of its entry in
   * this cache; `undefined` for a key that this cache does not keep. It must answer
   * at once; not with `prefix`.
   */
  readonly entryOf?: (cacheKey: string) => unknown;
  /**
   * Maps the name of an entry in this cache to its cache key, or to all of several
   * (`user:` for the whole type); `undefined` for an entry that no message is
   * about. It must answer at once.
   *
   * Beside `entryOf` it serves patterns, each of which clears the cache without it.
   * Alone it finds what exact keys name as well, by a pass over all entries.
   */
  readonly cacheKeyOf?: (
    entry: never,
  ) => string | readonly string[] | undefined;
  /**
   * `user:123`, by whichever message it is named, also drops `user:123:profile`:
   * a pass over all keys each time.
   */
  readonly subKeys?: boolean;
  /** Only messages for which this is true. What it throws counts as true. */
  readonly when?: InvalidationCondition;
}

/**
 * Drops from the cache what messages name, from now on.
 *
 * @returns a function that ends it
 * @throws InvalidationConfigurationError for what is no cache, and for options
 * that contradict each other
 * @internal
 */
export function bindCache(
  stream: InvalidationStream,
  cache: BindableCache,
  options: BindOptions,
): () => void {
  const entries = entriesOf(cache);
  if (entries === null) {
    throw misuse(
      'cache',
      'this is no cache.',
      'Give a Map, an LRUCache, a Keyv, a cache of cache-manager, or anything with delete(), keys() and clear().',
    );
  }
  warnOfSize(cache);
  const binding = new CacheBinding(entries, options);
  return stream.evict(
    'A bound cache',
    (message) => binding.apply(message),
    null,
    options.when,
  );
}

/** What an LRUCache takes to be cleared grows with its size. */
function warnOfSize(cache: object): void {
  const { max } = cache as { readonly max?: unknown };
  if (!('purgeStale' in cache) || typeof max !== 'number' || max <= LARGEST) {
    return;
  }
  new Logger('CacheInvalidation').warn(
    `A bound LRUCache of ${max} entries holds the event loop whenever it is cleared: bind one of ${LARGEST} at most, or make a near cache.`,
  );
}

class CacheBinding {
  readonly #nameOf: (key: string) => unknown;
  /** Every entry is named by its cache key. */
  readonly #isPlain: boolean;
  readonly #cacheKeyOf: BindOptions['cacheKeyOf'];
  /** Exact keys are looked for among all entries. */
  readonly #passes: boolean;
  #isToldOfStrangers = false;

  constructor(
    private readonly entries: CacheEntries,
    private readonly options: BindOptions,
  ) {
    const { prefix, entryOf, cacheKeyOf, subKeys } = options;
    if (entryOf !== undefined && prefix !== undefined) {
      throw misuse('entryOf', 'prefix is given, too.', 'Give one of them.');
    }
    if (subKeys === true && entryOf !== undefined && cacheKeyOf === undefined) {
      throw misuse(
        'subKeys',
        'which entries are meant is not known with entryOf alone.',
        'Give cacheKeyOf, too.',
      );
    }
    const start = prefix ?? '';
    this.#isPlain = start === '' && (entryOf ?? cacheKeyOf) === undefined;
    this.#nameOf = entryOf ?? ((key) => start + key);
    this.#cacheKeyOf =
      entryOf === undefined
        ? (cacheKeyOf ?? ((name: unknown) => withoutPrefix(start, name)))
        : cacheKeyOf;
    this.#passes =
      subKeys === true || (entryOf === undefined && cacheKeyOf !== undefined);
  }

  /** @returns what to wait for, if anything */
  apply(message: InvalidationMessage): unknown {
    try {
      const dropped = this.#drop(message);
      return isPromiseLike(dropped)
        ? dropped.then(undefined, (error: unknown) => this.#widen(error))
        : dropped;
    } catch (error) {
      return this.#widen(error);
    }
  }

  #drop(message: InvalidationMessage): unknown {
    const keys = keysOf(message);
    if (keys !== null) return this.#dropKeys(keys);
    const pattern = message.pattern ?? '*';
    if (this.#cacheKeyOf === undefined || (pattern === '*' && this.#isPlain)) {
      return this.entries.clear();
    }
    return this.#dropWhere(compileWithin(KEY_STEPS, weighAffecting(pattern)));
  }

  /** Whatever failed, in the cache or a function of the application's. */
  async #widen(error: unknown): Promise<never> {
    await this.entries.clear();
    throw error;
  }

  #dropKeys(keys: readonly string[]): unknown {
    if (keys.length > BATCH_LIMIT) return this.entries.clear();
    if (this.#passes) {
      const named = new Set(keys);
      for (const key of keys) named.add(familyOf(key));
      return this.#dropWhere((key) => named.has(key));
    }
    const names = keys.map((key) => atOnce(this.#nameOf(key)));
    this.#check(keys[0]!, names[0]);
    return this.entries.drop(names.filter((name) => name !== undefined));
  }

  /** Whether the two functions are each other's reverse, which swapped ones are not. */
  #check(key: string, name: unknown): void {
    const { entryOf, cacheKeyOf } = this.options;
    if (this.#isToldOfStrangers || name === undefined) return;
    if (entryOf === undefined || cacheKeyOf === undefined) return;
    const back = [atOnce(cacheKeyOf(name as never))].flat();
    if (!back.includes(key)) this.#tellOfStrangers();
  }

  #dropWhere(isAffected: (key: string) => boolean): unknown {
    const cacheKeyOf = this.#cacheKeyOf!;
    const { subKeys } = this.options;
    const isNamed = (key: string): boolean =>
      isAffected(key) || (subKeys === true && anyParent(key, isAffected));
    return this.entries.dropWhere((name) => {
      const key = atOnce(cacheKeyOf(name as never));
      if (typeof key === 'string') return isNamed(key);
      if (key !== undefined) return key.some(isNamed);
      if (!this.#isToldOfStrangers) this.#tellOfStrangers();
      return false;
    });
  }

  /** It may be meant, or two functions that were swapped. */
  #tellOfStrangers(): void {
    this.#isToldOfStrangers = true;
    new Logger('CacheInvalidation').debug(
      'A bound cache has an entry that no cache key maps to, so that no message evicts it: see to prefix, entryOf (from a cache key to an entry) and cacheKeyOf (from an entry to its cache key), unless that is meant.',
    );
  }
}

/** Whether it holds for a key that this one is below: `a:1` of `a:1:b:c`. */
function anyParent(
  key: string,
  isAffected: (parent: string) => boolean,
): boolean {
  let colon = key.indexOf(':', key.indexOf(':') + 1);
  while (colon !== -1) {
    if (isAffected(key.slice(0, colon))) return true;
    colon = key.indexOf(':', colon + 1);
  }
  return false;
}

function withoutPrefix(prefix: string, name: unknown): string | undefined {
  return typeof name === 'string' && name.startsWith(prefix)
    ? name.slice(prefix.length)
    : undefined;
}

function misuse(
  field: string,
  problem: string,
  fix: string,
): InvalidationConfigurationError {
  return new InvalidationConfigurationError(
    'A cache cannot be bound:',
    [{ field, problem, fix }],
    '',
  );
}
