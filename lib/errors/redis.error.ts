import { CacheInvalidationError } from './cache-invalidation.error.js';
import { messageOf, printable, withoutArguments } from './printable.js';

/**
 * Redis is away, or refused a command. A publish does not reject with this error: the
 * message waits in the outbox, and the error is logged and emitted on `errors$`. Only
 * after the shutdown a publish rejects with it.
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
 * Describes the error of a socket at the end of a sentence. An error of several refused
 * addresses has no message.
 *
 * @internal
 */
export function describeCause(cause: Error): string {
  const { code, lastNodeError } = cause as NodeJS.ErrnoException & {
    // The error of a cluster gives its reason here.
    lastNodeError?: Error;
  };
  const text = withoutArguments(messageOf(cause)).replace(/\.$/, '');
  const what = printable(text) || code || cause.name;
  return lastNodeError === undefined
    ? what
    : `${what} (${describeCause(lastNodeError)})`;
}
