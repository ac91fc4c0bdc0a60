import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * A load of a near cache has waited too long for its turn (options
 * `load.concurrency` and `load.maxWait`), and was not begun.
 *
 * @publicApi
 */
export class CacheBusyError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_CACHE_BUSY';

  constructor(
    /** Name of the cache: its entity type, or class and method. */
    readonly cache: string,
    concurrency: number,
    /** The bound that was exceeded, in milliseconds. */
    readonly maxWait: number,
  ) {
    super(
      `A load of the near cache ${cache} has waited ${maxWait} ms for one of ${concurrency} others to end.`,
      'Give the loader a timeout, or raise load.concurrency if its source can take more.',
    );
  }
}
