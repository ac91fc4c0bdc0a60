import { CacheInvalidationError } from './cache-invalidation.error.js';
import { messageOf, printable, withoutArguments } from './printable.js';

/**
 * The application's own code failed: an invalidation handler, a decorator's selector,
 * a cascade rule, a bound cache, a loader that refreshes a value, the durable outbox, or a function given to the
 * auditor.
 *
 * @publicApi
 */
export class CallbackFailedError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_HANDLER_FAILED';

  constructor(
    /** Name of the code that failed: its class and method, or its part in the library. */
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
