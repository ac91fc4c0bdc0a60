import {
  InvalidationConfigurationError,
  type ConfigurationProblem,
} from '../errors/index.js';

/** @publicApi */
export interface NearCacheOptions {
  /** Entries that are kept; of more, those used least lately go. @default 10000 */
  readonly max?: number;
  /**
   * How long an entry is kept if nothing invalidates it, in milliseconds.
   *
   * @default 300000
   */
  readonly ttl?: number;
  /**
   * The share of `ttl`, 0 to 1, by which each entry's may be shorter, so that
   * what was loaded together does not expire together.
   *
   * @default 0.1
   */
  readonly ttlJitter?: number;
  /**
   * How long it is kept that an entity does not exist (`null` or `undefined` was
   * loaded), in milliseconds; 0 for not at all.
   *
   * @default 0
   */
  readonly negativeTtl?: number;
}

const DEFAULTS: Required<NearCacheOptions> = {
  max: 10_000,
  ttl: 300_000,
  ttlJitter: 0.1,
  negativeTtl: 0,
};

/**
 * @throws InvalidationConfigurationError that names every bad option
 * @internal
 */
export function resolveNearCache(
  given: NearCacheOptions,
): Required<NearCacheOptions> {
  const options = { ...DEFAULTS, ...given };
  const { max, ttl, ttlJitter, negativeTtl } = options;
  const problems: ConfigurationProblem[] = [];
  const need = (isRight: boolean, field: string, fix: string): void => {
    if (!isRight) problems.push({ field, problem: 'out of range.', fix });
  };
  need(Number.isSafeInteger(max) && max > 0, 'max', 'Give a count above 0.');
  need(Number.isSafeInteger(ttl) && ttl > 0, 'ttl', 'Give milliseconds.');
  need(ttlJitter >= 0 && ttlJitter <= 1, 'ttlJitter', 'Give 0 to 1.');
  need(
    Number.isSafeInteger(negativeTtl) && negativeTtl >= 0,
    'negativeTtl',
    'Give milliseconds, or 0.',
  );
  if (problems.length > 0) {
    throw new InvalidationConfigurationError(
      'A near cache cannot be made:',
      problems,
    );
  }
  return options;
}
