import { CacheInvalidationError, describeCause } from '../errors/index.js';

/**
 * PostgreSQL is away, refused a command, or sent something unexpected. The source logs
 * it, emits it on `errors$`, and tries again; nothing is lost meanwhile, since the slot
 * keeps what was not announced.
 *
 * @publicApi
 */
export class InvalidationPostgresError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_POSTGRES';

  constructor(what: string, advice: string, cause?: unknown) {
    super(what, advice, cause);
  }
}

/** An error of a connection or a command, with its text. @internal */
export function postgresFailed(cause: Error): CacheInvalidationError {
  return cause instanceof CacheInvalidationError
    ? cause
    : new InvalidationPostgresError(
        `Changes in PostgreSQL are not announced by this instance: ${describeCause(cause)}.`,
        'Trying again; until an instance holds the slot, copies of its data may be stale.',
        cause,
      );
}
