import { fillIn, type Duration } from '../../common/index.js';
import {
  InvalidationConfigurationError,
  OptionRule,
  problemsIn,
  type ConfigurationProblem,
} from '../../errors/index.js';
import type { Replica } from '../../replica/index.js';
import type { DependencySelector } from '../dependencies.js';
import {
  isCount,
  ResolvedL2Options,
  TIME_ADVICE,
  type L2Options,
} from '../shared/l2.options.js';
import {
  ResolvedStaleness,
  type CacheStalenessOptions,
} from '../staleness.options.js';
import { TypedSerializer } from '../shared/serializers.js';
import { ISOLATIONS } from './isolation.js';
import type { LoadFromPrimary } from './replica-loads.js';
import { ResolvedLoadOptions, type LoadOptions } from './load.options.js';

/** Size, lifetimes, second tier and staleness of a near cache. @publicApi */
export interface NearCacheOptions<V = unknown> extends CacheStalenessOptions {
  /** Entries in memory; beyond it the least recently used are evicted. @default 10000 */
  readonly max?: number;
  /**
   * How long an entry is kept if nothing invalidates it, in milliseconds or as a
   * text such as `'5m'`.
   *
   * @default 300000
   */
  readonly ttl?: Duration;
  /**
   * From this age on, a read of an entry in memory gets the old value at once, and
   * begins a load that replaces it: in milliseconds or as a text, shorter than `ttl`,
   * and jittered as well. An invalidated entry is never served. The loader runs after
   * the read has ended: it must not need the read's request.
   *
   * @default none
   */
  readonly refreshAfter?: Duration;
  /**
   * The share of `ttl`, 0 to 1, by which each entry may expire sooner, so that
   * entries loaded together do not expire together.
   *
   * @default 0.1
   */
  readonly ttlJitter?: number;
  /**
   * How long the cache remembers that an entity does not exist (`null` or `undefined`
   * was loaded), in milliseconds or as a text; 0 for not at all.
   *
   * @default 0
   */
  readonly negativeTtl?: Duration;
  /**
   * Keeps one reader from changing the values of others: `freeze` freezes loaded
   * values in depth; `clone` gives each reader a copy of its own, without methods. A
   * value that cannot be frozen or cloned rejects the read.
   *
   * @default false, which shares one object among all readers
   */
  readonly isolate?: 'freeze' | 'clone' | false;
  /**
   * Keeps loaded values in Redis as well, for all instances of this service, also
   * those that start later. Requires the journal.
   *
   * @default false
   */
  readonly l2?: L2Options<V> | false;
  /**
   * Selects the dependencies of a value, made by `entity()`, `batch()` and
   * `pattern()`: an invalidation of any of them evicts it. A pattern counts as its
   * entity type; beyond 256 dependencies of an entry, their types count.
   *
   * @default none
   */
  readonly dependsOn?: DependencySelector<V>;
  /**
   * The read replica that loaders read, which lags behind its primary: `postgresReplica()`.
   * A value that it may not have had the last change of is not kept.
   *
   * @default none: loaders read the primary
   */
  readonly replica?: Replica;
  /**
   * Loads an entity from the primary, by its id as text, while the replica may not have its
   * last change. With `@Cached` it is called on the method's instance.
   *
   * @default none: such a value is loaded from the replica each time, and not kept
   */
  readonly primary?: (id: string) => Promise<V> | V;
  /**
   * Bounds how many loads run at a time.
   *
   * @default unbounded
   */
  readonly load?: LoadOptions;
}

/** Options of a near cache with their defaults, times in milliseconds. @internal */
export class ResolvedNearCacheOptions<V> extends ResolvedStaleness {
  @OptionRule(isCount, 'Give a count above 0.')
  readonly max: number = 10_000;

  @OptionRule(isCount, TIME_ADVICE)
  readonly ttl: number = 300_000;

  @OptionRule(isRefreshOrNull, `${TIME_ADVICE} It must be less than ttl.`)
  readonly refreshAfter: number | null = null;

  @OptionRule(isShare, 'Give 0 to 1.')
  readonly ttlJitter: number = 0.1;

  @OptionRule(isCountOr0, `${TIME_ADVICE} Or 0.`)
  readonly negativeTtl: number = 0;

  @OptionRule(isIsolation, 'Give "freeze", "clone" or false.')
  readonly isolate: 'freeze' | 'clone' | false = false;

  @OptionRule(isFunctionOrNull, 'Give a function of the value.')
  readonly dependsOn: DependencySelector<V> | null = null;

  @OptionRule(
    isReplicaOrNull,
    'Give postgresReplica(pool, { primary }), or an object with applied() and isBefore().',
  )
  readonly replica: Replica | null = null;

  @OptionRule(
    isPrimaryOrNull,
    'Give a function of the id, beside the option replica.',
  )
  readonly primary: LoadFromPrimary<V> | null = null;

  l2: ResolvedL2Options<V> | null = null;

  load: ResolvedLoadOptions | null = null;
}

/**
 * @throws InvalidationConfigurationError that names every bad option
 * @internal
 */
export function resolveNearCache<V>({
  l2: givenL2,
  load: givenLoad,
  ...given
}: NearCacheOptions<V>): ResolvedNearCacheOptions<V> {
  const options = fillIn(new ResolvedNearCacheOptions<V>(), given, [
    'ttl',
    'negativeTtl',
    'maxStaleness',
    'refreshAfter',
  ]);
  const problems = problemsOf(options);
  if (givenL2) {
    const l2 = fillIn(new ResolvedL2Options<V>(), givenL2, ['ttl', 'timeout']);
    problems.push(...problemsOf(l2, 'l2.'));
    options.l2 = l2;
  }
  if (givenLoad) {
    const load = fillIn(new ResolvedLoadOptions(), givenLoad, ['maxWait']);
    problems.push(...problemsOf(load, 'load.'));
    options.load = load;
  }
  if (problems.length > 0) {
    throw new InvalidationConfigurationError(
      'A near cache cannot be made:',
      problems,
    );
  }
  const { l2 } = options;
  if (l2?.type !== undefined) l2.serializer = new TypedSerializer<V>(l2.type);
  return options;
}

/** @param prefix of the names of these options */
function problemsOf(options: object, prefix = ''): ConfigurationProblem[] {
  return problemsIn(options, (fix) => ({
    problem: 'it is not valid.',
    fix,
  })).map((problem) => ({ ...problem, field: prefix + problem.field }));
}

function isShare(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 1;
}

function isCountOr0(value: unknown): boolean {
  return value === 0 || isCount(value);
}

function isRefreshOrNull(value: unknown, options: object): boolean {
  const { ttl } = options as ResolvedNearCacheOptions<never>;
  return value === null || (isCount(value) && (value as number) < ttl);
}

function isIsolation(value: unknown): boolean {
  if (typeof value !== 'string') return value === false;
  return Object.hasOwn(ISOLATIONS, value);
}

function isReplicaOrNull(value: unknown): boolean {
  if (value === null) return true;
  const { kind, applied, isBefore, current, onConnect } =
    value as Partial<Replica>;
  return (
    (kind === undefined || typeof kind === 'string') &&
    typeof applied === 'function' &&
    typeof isBefore === 'function' &&
    (current === undefined || typeof current === 'function') &&
    (onConnect === undefined || typeof onConnect === 'function')
  );
}

function isPrimaryOrNull(value: unknown, options: object): boolean {
  const { replica } = options as ResolvedNearCacheOptions<never>;
  return value === null || (typeof value === 'function' && replica !== null);
}

function isFunctionOrNull(value: unknown): boolean {
  return value === null || typeof value === 'function';
}
