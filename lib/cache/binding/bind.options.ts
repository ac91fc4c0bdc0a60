import {
  InvalidationConfigurationError,
  problemsIn,
} from '../../errors/index.js';
import { fillIn } from '../../common/index.js';
import type { InvalidationCondition } from '../../stream/index.js';
import {
  ResolvedStaleness,
  type CacheStalenessOptions,
} from '../staleness.options.js';

/**
 * How a bound cache names its entries, and how old they may be. Without any of it an
 * entry's name is its cache key: `user:123`.
 *
 * Beyond `maxStaleness` the cache is cleared, and again after each such time until there
 * is proof; `mayServe()` of the binding says it by the clock, before each read.
 *
 * @publicApi
 */
export interface BindOptions extends CacheStalenessOptions {
  /** Begins every entry's name, before the cache key: `app:`. */
  readonly prefix?: string;
  /**
   * Maps a cache key (`user:123`, as it is invalidated) to the name of its entry in
   * this cache; `undefined` for a key that this cache does not keep. It must answer
   * at once; not with `prefix`.
   */
  readonly entryOf?: (cacheKey: string) => unknown;
  /**
   * Maps the name of an entry in this cache to its cache key, or to all of several
   * (`user:` for the whole type); `undefined` for an entry that no message is
   * about. It must answer at once.
   *
   * Beside `entryOf` it serves patterns, each of which clears the cache without it.
   * Alone it finds the entries of exact keys as well, by a pass over all entries.
   */
  readonly cacheKeyOf?: (
    entry: never,
  ) => string | readonly string[] | undefined;
  /**
   * Whether a message that names `user:123` also drops `user:123:profile`: a pass
   * over all entries each time.
   */
  readonly subKeys?: boolean;
  /** Only messages for which this is true. An error in it counts as true. */
  readonly when?: InvalidationCondition;
}

/**
 * @returns the bound of how old entries may be
 * @throws InvalidationConfigurationError for options that contradict each other, or are
 * not valid
 * @internal
 */
export function checkBindOptions({
  prefix,
  entryOf,
  cacheKeyOf,
  subKeys,
  maxStaleness,
  whenStale,
}: BindOptions): ResolvedStaleness {
  if (entryOf !== undefined && prefix !== undefined) {
    throw misuse('entryOf', 'prefix is given, too.', 'Give one of them.');
  }
  if (subKeys === true && entryOf !== undefined && cacheKeyOf === undefined) {
    throw misuse(
      'subKeys',
      'which entries are meant is not known with entryOf alone.',
      'Give cacheKeyOf, too.',
    );
  }
  const staleness = fillIn(
    new ResolvedStaleness(),
    { maxStaleness, whenStale },
    ['maxStaleness'],
  );
  const [problem] = problemsIn(staleness, (fix) => ({
    problem: 'it is not valid.',
    fix,
  }));
  if (problem === undefined) return staleness;
  throw misuse(problem.field, problem.problem, problem.fix);
}

/** @internal */
export function misuse(
  field: string,
  problem: string,
  fix: string,
): InvalidationConfigurationError {
  return new InvalidationConfigurationError(
    'A cache cannot be bound:',
    [{ field, problem, fix }],
    '',
  );
}
