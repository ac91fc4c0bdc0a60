import { CacheInvalidationError } from './cache-invalidation.error.js';
import { printable, withoutArguments } from './printable.js';

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
      `${source} ${what}: ${describe(cause).replace(/\.$/, '')}.`,
      advice,
      cause,
    );
  }
}

function describe(cause: unknown): string {
  try {
    // A message may be anything, as long as somebody has written to it.
    const text = String(cause instanceof Error ? cause.message : cause);
    return printable(withoutArguments(text));
  } catch {
    // Object.create(null), or a toString() that throws.
    return 'a value that cannot be shown';
  }
}
