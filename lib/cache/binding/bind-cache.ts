import { Logger } from '@nestjs/common';
import type { InvalidationStream } from '../../stream/index.js';
import { checkBindOptions, misuse, type BindOptions } from './bind.options.js';
import { entriesOf, type BindableCache } from './bindable-cache.js';
import { CacheBinding } from './cache-binding.js';

/** Entries of an LRUCache, which takes 0.3 ms to clear 1,000. */
const LARGEST = 100_000;

/**
 * Drops from the cache the entries that messages name, from now on.
 *
 * @returns a function that ends the binding
 * @throws InvalidationConfigurationError for an object that is no cache, and for
 * options that contradict each other
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
  checkBindOptions(options);
  const binding = new CacheBinding(entries, options);
  return stream.addCache(
    'A bound cache',
    (message) => binding.apply(message),
    null,
    options.when,
  );
}

/** An LRUCache takes longer to be cleared the larger it is. */
function warnOfSize(cache: object): void {
  const { max } = cache as { readonly max?: unknown };
  if (!('purgeStale' in cache) || typeof max !== 'number' || max <= LARGEST) {
    return;
  }
  new Logger('CacheInvalidation').warn(
    `A bound LRUCache of ${max} entries holds the event loop whenever it is cleared: bind one of ${LARGEST} at most, or make a near cache.`,
  );
}
