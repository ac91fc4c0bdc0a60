import { isDeepStrictEqual } from 'node:util';
import { fillIn } from '../common/index.js';
import {
  InvalidationConfigurationError,
  OptionRule,
  problemsIn,
} from '../errors/index.js';
import type { EntityType } from '../message/index.js';

/**
 * A cache that can be audited: a near cache as it is, any other cache by a function
 * that looks into it.
 *
 * @publicApi
 */
export interface AuditableCache<V> {
  readonly entityType: EntityType;
  /**
   * The cached copy of this entity, `undefined` if there is none. It should neither
   * load, nor count, nor renew what it finds: of an `LRUCache` take `peek`.
   */
  peek(id: string): V | undefined | Promise<V | undefined>;
}

/**
 * Loads an entity, past every cache; `null` or `undefined` if there is none.
 *
 * @publicApi
 */
export type TruthLoader<V> = (
  id: string,
) => V | null | undefined | Promise<V | null | undefined>;

/** Which copies are compared, how often and how. @publicApi */
export interface CacheAuditOptions<V> {
  /** The share of invalidated keys that is followed, 0 to 1. @default 0.01 */
  readonly sampleRate?: number;
  /**
   * Copies compared per second, each at the cost of one load; of one that
   * differs, another a second later.
   *
   * @default 10
   */
  readonly maxPerSecond?: number;
  /**
   * Whether a copy says the same as what was loaded. It is not asked where one
   * of them is `null` or `undefined`. Copies that went through JSON, such as
   * those that a near cache finds in Redis, are strictly equal only to plain
   * data.
   *
   * @default `isDeepStrictEqual` of `node:util`
   */
  readonly equals?: (copy: NonNullable<V>, truth: NonNullable<V>) => boolean;
}

/** Audit options with their defaults. @internal */
export class ResolvedAuditOptions<V> {
  @OptionRule(isShare, 'Give 0 to 1.')
  readonly sampleRate: number = 0.01;

  @OptionRule(isPositive, 'Give a count above 0.')
  readonly maxPerSecond: number = 10;

  readonly equals: (copy: NonNullable<V>, truth: NonNullable<V>) => boolean =
    isDeepStrictEqual;
}

/**
 * @throws InvalidationConfigurationError that names every bad option
 * @internal
 */
export function resolveCacheAudit<V>(
  given: CacheAuditOptions<V>,
): ResolvedAuditOptions<V> {
  const options = fillIn(new ResolvedAuditOptions<V>(), given);
  const problems = problemsIn(options, (fix) => ({
    problem: 'out of range.',
    fix,
  }));
  if (problems.length === 0) return options;
  throw new InvalidationConfigurationError(
    'A cache cannot be audited:',
    problems,
  );
}

function isShare(value: unknown): boolean {
  return (value as number) >= 0 && (value as number) <= 1;
}

function isPositive(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
