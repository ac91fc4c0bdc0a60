import { inMilliseconds, type Duration } from '../../common/index.js';
import {
  InvalidationConfigurationError,
  type ConfigurationProblem,
} from '../../errors/index.js';
import {
  CONNECTION_ADVICE,
  isConnection,
  type RedisConnection,
} from '../../transport/index.js';

import type { DependencySelector } from '../dependencies.js';
import { ISOLATIONS } from './isolation.js';
import {
  CHECKED_JSON,
  TypedSerializer,
  type CheckedSerializer,
  type L2Serializer,
  type ValueClass,
} from '../shared/serializers.js';

/** The second tier of a near cache, in Redis. @publicApi */
export interface L2Options<V> {
  /**
   * How long an entry is kept there if nothing invalidates it, in milliseconds or
   * as a text such as `'1h'`.
   *
   * @default 3600000
   */
  readonly ttl?: Duration;
  /**
   * What stands before every cache key there. Services, and caches that keep
   * something else of the same entities, need different ones.
   *
   * @default `near:` and the name of the service; for `@Cached`, also class and method
   */
  readonly keyPrefix?: string;
  /** @default that of the module's options; never its connection itself */
  readonly connection?: RedisConnection;
  /**
   * How values become bytes and back: one of your own, which is believed,
   * `json()`, or `structured()`.
   *
   * @default JSON, for values that it carries unchanged; others stay in memory
   */
  readonly serializer?: L2Serializer<V>;
  /**
   * The class of the values, or of the elements of a list: what is read from
   * Redis is made an instance of it by class-transformer. Not with `serializer`.
   *
   * @default none: plain objects
   */
  readonly type?: () => ValueClass;
  /**
   * Rejects a read whose value would not come back from Redis as it is, where it
   * else stays in memory only: for tests.
   *
   * @default false
   */
  readonly strict?: boolean;
  /**
   * How long a read waits for it before it does without, in milliseconds or as a
   * text.
   *
   * @default 250
   */
  readonly timeout?: Duration;
}

/** How much a near cache keeps, how long, and whether in Redis too. @publicApi */
export interface NearCacheOptions<V = unknown> {
  /** Entries that are kept; of more, those used least lately go. @default 10000 */
  readonly max?: number;
  /**
   * How long an entry is kept if nothing invalidates it, in milliseconds or as a
   * text such as `'5m'`.
   *
   * @default 300000
   */
  readonly ttl?: Duration;
  /**
   * The share of `ttl`, 0 to 1, by which each entry's may be shorter, so that
   * what was loaded together does not expire together.
   *
   * @default 0.1
   */
  readonly ttlJitter?: number;
  /**
   * How long it is kept that an entity does not exist (`null` or `undefined` was
   * loaded), in milliseconds or as a text; 0 for not at all.
   *
   * @default 0
   */
  readonly negativeTtl?: Duration;
  /**
   * What keeps one reader from changing what the others read: `freeze` freezes
   * what is loaded, in depth; `clone` hands each reader a copy of its own, without
   * methods. A value for which that cannot be done rejects the read.
   *
   * @default false, which shares one object among all readers
   */
  readonly isolate?: 'freeze' | 'clone' | false;
  /**
   * Keeps what is loaded in Redis as well, for all instances of this service,
   * and for those that start later. It takes the journal.
   *
   * @default false
   */
  readonly l2?: L2Options<V> | false;
  /**
   * Dependencies of a value, made by `entity()`, `batch()` and `pattern()`
   * make: it is evicted with any of it. Of a pattern only the entity type counts;
   * beyond 256 dependencies of an entry, their types.
   *
   * @default nothing
   */
  readonly dependsOn?: DependencySelector<V>;
}

/** All of them known. @internal */
export interface ResolvedNearCacheOptions<V> extends InMilliseconds<
  Required<Omit<NearCacheOptions, 'l2' | 'dependsOn'>>,
  'ttl' | 'negativeTtl'
> {
  readonly l2: ResolvedL2Options<V> | null;
  readonly dependsOn: DependencySelector<V> | null;
}

/** @internal */
export type ResolvedL2Options<V> = InMilliseconds<
  Required<
    Omit<L2Options<V>, 'connection' | 'keyPrefix' | 'type' | 'serializer'>
  >,
  'ttl' | 'timeout'
> & {
  readonly serializer: L2Serializer<V> & Partial<CheckedSerializer<V>>;
} & Pick<L2Options<V>, 'connection' | 'keyPrefix'>;

/** Options of which some times were texts. */
type InMilliseconds<T, K extends keyof T> = Omit<T, K> & Record<K, number>;

const DEFAULTS: Required<Omit<NearCacheOptions, 'l2' | 'dependsOn'>> = {
  max: 10_000,
  ttl: 300_000,
  ttlJitter: 0.1,
  negativeTtl: 0,
  isolate: false,
};

const L2_DEFAULTS = { ttl: 3_600_000, timeout: 250, strict: false };

/**
 * @throws InvalidationConfigurationError that names every bad option
 * @internal
 */
export function resolveNearCache<V>({
  l2: givenL2,
  dependsOn = null as never,
  ...given
}: NearCacheOptions<V>): ResolvedNearCacheOptions<V> {
  const options = inMs({ ...DEFAULTS, ...known(given) }, [
    'ttl',
    'negativeTtl',
  ]);
  const l2 = givenL2
    ? inMs({ serializer: CHECKED_JSON, ...L2_DEFAULTS, ...known(givenL2) }, [
        'ttl',
        'timeout',
      ])
    : null;
  const { max, ttl, ttlJitter, negativeTtl, isolate } = options;
  const problems: ConfigurationProblem[] = [];
  const need = (isRight: boolean, field: string, fix: string): void => {
    if (!isRight) problems.push({ field, problem: 'it will not do.', fix });
  };
  need(isCount(max), 'max', 'Give a count above 0.');
  need(isCount(ttl), 'ttl', TIME_ADVICE);
  need(ttlJitter >= 0 && ttlJitter <= 1, 'ttlJitter', 'Give 0 to 1.');
  need(
    negativeTtl === 0 || isCount(negativeTtl),
    'negativeTtl',
    `${TIME_ADVICE} Or 0.`,
  );
  need(
    isolate === false || Object.hasOwn(ISOLATIONS, isolate),
    'isolate',
    'Give "freeze", "clone" or false.',
  );
  need(
    dependsOn === null || typeof dependsOn === 'function',
    'dependsOn',
    'Give a function of the value.',
  );
  if (l2 !== null) {
    need(isCount(l2.ttl), 'l2.ttl', TIME_ADVICE);
    need(isCount(l2.timeout), 'l2.timeout', TIME_ADVICE);
    need(
      l2.connection === undefined || isConnection(l2.connection),
      'l2.connection',
      CONNECTION_ADVICE,
    );
    need(
      l2.keyPrefix === undefined || isText(l2.keyPrefix),
      'l2.keyPrefix',
      'Give a text, or leave it out.',
    );
    need(
      isSerializer(l2.serializer),
      'l2.serializer',
      'Give an object with serialize() and deserialize().',
    );
    need(
      l2.type === undefined ||
        (typeof l2.type === 'function' && l2.serializer === CHECKED_JSON),
      'l2.type',
      'Give a function that returns a class, such as () => User, and no serializer beside it.',
    );
    need(typeof l2.strict === 'boolean', 'l2.strict', 'Give true or false.');
  }
  if (problems.length > 0) {
    throw new InvalidationConfigurationError(
      'A near cache cannot be made:',
      problems,
    );
  }
  return { ...options, l2: l2 === null ? null : typed(l2), dependsOn };
}

function typed<V>({
  type,
  ...l2
}: ResolvedL2Options<V> & Pick<L2Options<V>, 'type'>): ResolvedL2Options<V> {
  return type === undefined
    ? l2
    : { ...l2, serializer: new TypedSerializer<V>(type) };
}

const TIME_ADVICE = 'Give milliseconds, or a time such as "5m".';

/** Times that are no times stay as they are, for the check. */
function inMs<T extends object, K extends keyof T>(
  options: T,
  times: readonly K[],
): InMilliseconds<T, K> {
  const numbers = times.map((key) => [key, inMilliseconds(options[key])]);
  return { ...options, ...Object.fromEntries(numbers) } as InMilliseconds<T, K>;
}

/** What a timer, and the length of an array, can be. */
const LARGEST = 2 ** 31 - 1;

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && value <= LARGEST;
}

/** As plain JavaScript may give them. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isSerializer(value: unknown): boolean {
  const given = value as Partial<L2Serializer<unknown>> | null;
  return (
    typeof given?.serialize === 'function' &&
    typeof given.deserialize === 'function'
  );
}

/** `undefined` means the default. */
function known<T extends object>(given: T): T {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as T;
}
