import { CacheInvalidationError } from './cache-invalidation.error.js';
import { messageOf, printable, withoutArguments } from './printable.js';

/**
 * The application's own code failed: an invalidation handler, or the selector
 * of a decorator. `source` is its class and method.
 *
 * @publicApi
 */
export class HandlerFailedError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_HANDLER_FAILED';

  constructor(
    /** Class and method. */
    readonly source: string,
    what: string,
    advice: string,
    cause: unknown,
  ) {
    super(
      `${source} ${what}: ${printable(withoutArguments(messageOf(cause))).replace(/\.$/, '')}.`,
      advice,
      cause,
    );
  }
}
