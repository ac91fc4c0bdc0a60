import { CacheInvalidationError } from '../errors/index.js';

/** The command was called in a way that it does not know. @internal */
export class UsageError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_USAGE';

  constructor(what: string, advice = '') {
    super(what, advice);
  }
}
