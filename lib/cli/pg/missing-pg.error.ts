import { CacheInvalidationError } from '../../errors/index.js';

/** The package `pg`, an optional peer, is not installed. @internal */
export class MissingPgError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_NO_PG';

  constructor(cause: unknown) {
    super(
      'The package pg is not installed, so PostgreSQL cannot be reached.',
      'Run npm install pg.',
      cause,
    );
  }
}
