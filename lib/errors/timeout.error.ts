import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * A time limit was exceeded: Redis did not answer a publish, or the outbox could not be
 * drained at the shutdown.
 *
 * @publicApi
 */
export class InvalidationTimeoutError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_TIMEOUT';

  constructor(
    what: string,
    advice: string,
    /** The bound that was exceeded, in milliseconds. */
    readonly timeout: number,
  ) {
    super(what, advice);
  }
}
