import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * One thing that is wrong with the options.
 *
 * @publicApi
 */
export interface ConfigurationProblem {
  /** The option's name. */
  readonly field: string;
  /** The fault of its value. */
  readonly problem: string;
  /** A value that would do, and how to write it. */
  readonly fix: string;
}

/**
 * The module cannot start with what it was given. Names every bad option at
 * once, so that one restart is enough.
 *
 * @publicApi
 */
export class InvalidationConfigurationError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_CONFIGURATION';

  constructor(
    what: string,
    /** Each of them, for who wants to show them otherwise. */
    readonly problems: readonly ConfigurationProblem[] = [],
    advice = '',
  ) {
    const lines = problems.map(
      ({ field, problem, fix }) => `\n  - ${field}: ${problem} ${fix}`,
    );
    super(what + lines.join(''), advice);
  }
}
