import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * Bytes on the channel that are no invalidation message, or wrong input to a
 * publisher. `field` names what is wrong, in the wire's spelling; it is `null` where it
 * was refused for its size and `the payload` where nothing in it could be read.
 *
 * @publicApi
 */
export class InvalidMessageError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_INVALID_MESSAGE';

  constructor(
    what: string,
    advice: string,
    readonly field: string | null = null,
    cause?: unknown,
  ) {
    super(what, advice, cause);
  }
}
