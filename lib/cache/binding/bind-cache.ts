import { Logger } from '@nestjs/common';
import { CallbackFailedError } from '../../errors/index.js';
import type { ErrorReporter, InvalidationStream } from '../../stream/index.js';
import type { PositionSource } from '../position-source.js';
import { StalenessBound } from '../staleness-bound.js';
import { checkBindOptions, misuse, type BindOptions } from './bind.options.js';
import {
  entriesOf,
  type BindableCache,
  type CacheEntries,
} from './bindable-cache.js';
import { CacheBinding } from './cache-binding.js';

/** Entries of an LRUCache, which takes 0.3 ms to clear 1,000. */
const LARGEST = 100_000;

/** The binding of a cache; calling it ends the binding. @publicApi */
export interface BoundCache {
  (): void;
  /**
   * Whether the cache may be read now: `false` before the start and after the end, while
   * `subscriber.bypass` is true, and beyond the binding's `maxStaleness`. It reads the
   * clock, so that it is right at the first read of a process that was frozen.
   *
   * @throws CacheStaleError beyond `maxStaleness`, with `whenStale: 'fail'`
   */
  mayServe(): boolean;
}

/**
 * Drops from the cache the entries that messages name, from now on, and with
 * `maxStaleness` all of them beyond it and at each new connection.
 *
 * @throws InvalidationConfigurationError for an object that is no cache, and for
 * options that contradict each other
 * @internal
 */
export function bindCache(
  stream: InvalidationStream,
  source: PositionSource,
  errors: Pick<ErrorReporter, 'report'>,
  cache: BindableCache,
  options: BindOptions,
): BoundCache {
  const entries = entriesOf(cache);
  if (entries === null) {
    throw misuse(
      'cache',
      'this is no cache.',
      'Give a Map, an LRUCache, a Keyv, a cache of cache-manager, or anything with delete(), keys() and clear().',
    );
  }
  warnOfSize(cache);
  const staleness = checkBindOptions(options);
  const binding = new CacheBinding(entries, options);
  const unbind = stream.addCache(
    'A bound cache',
    (message) => binding.apply(message),
    null,
    options.when,
  );
  const { maxStaleness } = staleness;
  if (maxStaleness === 0) {
    return Object.assign(unbind, { mayServe: () => !source.bypass });
  }
  const bound = new StalenessBound(source, staleness, 'A bound cache', null);
  const endWatch = source.whenStale(
    maxStaleness,
    () => void clear(entries, errors),
  );
  const end = (): void => {
    endWatch();
    unbind();
  };
  return Object.assign(end, { mayServe: () => bound.mayServe() });
}

async function clear(
  entries: CacheEntries,
  errors: Pick<ErrorReporter, 'report'>,
): Promise<void> {
  try {
    await entries.clear();
  } catch (error) {
    errors.report(
      new CallbackFailedError(
        'A bound cache',
        'could not be cleared, beyond its maxStaleness or at a new connection',
        'It is tried again only as long as there is no proof: clear it once the cause is mended, or it may serve old copies.',
        error,
      ),
      'bound cache stale',
    );
  }
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
