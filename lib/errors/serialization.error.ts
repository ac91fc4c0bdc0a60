import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * A message cannot be written as JSON (circular metadata, a bigint inside it)
 * or is larger than `maxMessageBytes`.
 *
 * @publicApi
 */
export class InvalidationSerializationError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_SERIALIZATION';

  constructor(what: string, advice: string, cause?: unknown) {
    super(what, advice, cause);
  }
}
