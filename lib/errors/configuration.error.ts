import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * A problem of one option.
 *
 * @publicApi
 */
export interface ConfigurationProblem {
  /** The option's name. */
  readonly field: string;
  /** The fault of its value. */
  readonly problem: string;
  /** A valid value, and how to write it. */
  readonly fix: string;
}

/**
 * The module cannot start with its options. The error names every bad option at once, so
 * that one restart is enough.
 *
 * @publicApi
 */
export class InvalidationConfigurationError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_CONFIGURATION';

  constructor(
    what: string,
    /** Problems one by one, for programs that show them in another form. */
    readonly problems: readonly ConfigurationProblem[] = [],
    advice = '',
  ) {
    const lines = problems.map(
      ({ field, problem, fix }) => `\n  - ${field}: ${problem} ${fix}`,
    );
    super(what + lines.join(''), advice);
  }
}
