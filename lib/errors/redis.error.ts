import { CacheInvalidationError } from './cache-invalidation.error.js';
import { messageOf, printable, withoutArguments } from './printable.js';

/**
 * Redis is away, or refused a command. A caller who publishes is not told: the
 * message waits in the outbox and this is logged and emitted on `errors$`. Only
 * after the application has shut down does a publish reject with it.
 *
 * @publicApi
 */
export class InvalidationRedisError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_REDIS';

  constructor(what: string, advice: string, cause?: unknown) {
    super(what, advice, cause);
  }
}

/**
 * A sentence's end for what a socket reported: several addresses that refused
 * make an error without a message.
 *
 * @internal
 */
export function describeCause(cause: Error): string {
  const { code, lastNodeError } = cause as NodeJS.ErrnoException & {
    // A cluster's error says only that it failed; this says why.
    lastNodeError?: Error;
  };
  const text = withoutArguments(messageOf(cause)).replace(/\.$/, '');
  const what = printable(text) || code || cause.name;
  return lastNodeError === undefined
    ? what
    : `${what} (${describeCause(lastNodeError)})`;
}
