import { CacheInvalidationError } from '../errors/index.js';

/** The command line is wrong. @internal */
export class UsageError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_USAGE';

  constructor(what: string, advice = '') {
    super(what, advice);
  }
}
