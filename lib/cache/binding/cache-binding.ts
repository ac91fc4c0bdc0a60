import { Logger } from '@nestjs/common';
import {
  compileWithin,
  familyOf,
  keysOf,
  weighAffecting,
  type InvalidationMessage,
} from '../../message/index.js';
import { atOnce, isPromiseLike } from '../../stream/index.js';
import type { BindOptions } from './bind.options.js';
import type { CacheEntries } from './bindable-cache.js';

/** Keys of one message; a larger batch clears the cache. */
const BATCH_LIMIT = 10_000;
/** Steps of one comparison, some 10 µs; an entry that takes more is dropped. */
const KEY_STEPS = 5_000;

/**
 * One bound cache: finds and drops the entries that a message names.
 *
 * @internal
 */
export class CacheBinding {
  readonly #nameOf: (key: string) => unknown;
  /** Every entry is named by its cache key. */
  readonly #isPlain: boolean;
  readonly #cacheKeyOf: BindOptions['cacheKeyOf'];
  /** Entries of exact keys are found by a pass over all entries. */
  readonly #passes: boolean;
  #hasLoggedStranger = false;

  /** @param options that were checked */
  constructor(
    private readonly entries: CacheEntries,
    private readonly options: BindOptions,
  ) {
    const { prefix, entryOf, cacheKeyOf, subKeys } = options;
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

  /** @returns a promise if the cache is asynchronous */
  apply(message: InvalidationMessage): unknown {
    try {
      const dropped = this.#drop(message);
      return isPromiseLike(dropped)
        ? dropped.then(undefined, (error: unknown) => this.#clear(error))
        : dropped;
    } catch (error) {
      return this.#clear(error);
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

  /** Clears the cache after an error in it or in a function of the application. */
  async #clear(error: unknown): Promise<never> {
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
    this.#checkReverse(keys[0]!, names[0]);
    return this.entries.drop(names.filter((name) => name !== undefined));
  }

  /** Logs if `entryOf` and `cacheKeyOf` are not each other's reverse, as if they were swapped. */
  #checkReverse(key: string, name: unknown): void {
    // With cacheKeyOf alone a pass finds the entries.
    const { cacheKeyOf } = this.options;
    if (this.#hasLoggedStranger || name === undefined) return;
    if (cacheKeyOf === undefined) return;
    const back = [atOnce(cacheKeyOf(name as never))].flat();
    if (!back.includes(key)) this.#logStranger();
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
      if (!this.#hasLoggedStranger) this.#logStranger();
      return false;
    });
  }

  /** Such an entry may be intended, or two functions were swapped. */
  #logStranger(): void {
    this.#hasLoggedStranger = true;
    new Logger('CacheInvalidation').debug(
      'A bound cache has an entry that no cache key maps to, so that no message evicts it: check prefix, entryOf (from a cache key to an entry) and cacheKeyOf (from an entry to its cache key), unless that is intended.',
    );
  }
}

/** Whether it holds for a parent of the key: `a:1` of `a:1:b:c`. */
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
