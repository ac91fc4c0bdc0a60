import { CacheInvalidationError } from '../../errors/index.js';

/**
 * The replication stream has bytes that are no message of pgoutput. The connection is
 * opened again, and nothing is acknowledged.
 *
 * @publicApi
 */
export class MalformedWalError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_MALFORMED_WAL';

  /** @param what the fault, without any of the bytes */
  constructor(what: string) {
    super(
      `The replication stream of PostgreSQL cannot be read: ${what}.`,
      'Connect to the server itself and not to a pooler; report it if it persists.',
    );
  }
}
