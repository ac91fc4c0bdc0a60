import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * A cache with `whenStale: 'fail'` was read while this instance had been without proof
 * for longer than the cache's `maxStaleness`.
 *
 * @publicApi
 */
export class CacheStaleError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_STALE';

  /** @internal */
  constructor(
    /** The cache: its entity type, or for `@Cached` class and method. */
    readonly cache: string,
    /** How long nothing has proved that this instance received everything, in milliseconds. */
    readonly staleness: number,
    /** The bound that was exceeded, in milliseconds. */
    readonly maxStaleness: number,
  ) {
    super(
      `For ${Math.floor(staleness)} ms nothing has proved that this instance received every invalidation; ${cache} allows ${maxStaleness} ms (option maxStaleness).`,
      "Refuse the request, or read from the source; reads succeed again once Redis and all sources answer. With whenStale: 'bypass' they load instead.",
    );
  }
}
