import { CacheInvalidationError } from '../../errors/index.js';

/** PostgreSQL cannot be reached, or a command cannot be carried out there. @internal */
export class PostgresCommandError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_POSTGRES_COMMAND';

  constructor(what: string, advice: string, cause?: unknown) {
    super(what, advice, cause);
  }
}
