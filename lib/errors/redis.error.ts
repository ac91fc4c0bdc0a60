import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * Redis is away, or refused a command. Never thrown at a caller who publishes:
 * the message waits in the outbox and this is logged and emitted on `errors$`.
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
  const { code } = cause as NodeJS.ErrnoException;
  return cause.message.replace(/\.$/, '') || code || cause.name;
}
