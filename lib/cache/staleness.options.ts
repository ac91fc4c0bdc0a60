import { LONGEST_TIMER_MS, type Duration } from '../common/index.js';
import { OptionRule } from '../errors/index.js';

/**
 * The shortest bound, in milliseconds: heartbeats come four times as often, and a busy
 * event loop must not look like a lost connection.
 */
const SHORTEST_MS = 1_000;

/** The behaviour of a cache beyond its `maxStaleness`. @publicApi */
export type CacheStalePolicy = 'bypass' | 'fail';

/** How old the copies of one cache may be. @publicApi */
export interface CacheStalenessOptions {
  /**
   * How long this cache may be read without proof that this instance has received
   * everything, from this region and all sources: in milliseconds or as a text such as
   * `'2s'`, from 1000 on; 0 for no bound. Heartbeats of the instance quicken to a
   * quarter of it, for all caches, until the application ends.
   *
   * @default 0
   */
  readonly maxStaleness?: Duration;
  /**
   * Beyond `maxStaleness`: `bypass` loads every read from the source, `fail` throws a
   * CacheStaleError.
   *
   * @default 'bypass'
   */
  readonly whenStale?: CacheStalePolicy;
}

/** Both options with their defaults, in milliseconds. @internal */
export class ResolvedStaleness {
  @OptionRule(
    isBound,
    `Give ${SHORTEST_MS} milliseconds or more, or a time such as "2s"; or 0.`,
  )
  readonly maxStaleness: number = 0;

  @OptionRule(
    isPolicy,
    'Give "bypass"; or "fail", with maxStaleness, which says when.',
  )
  readonly whenStale: CacheStalePolicy = 'bypass';
}

function isBound(value: unknown): boolean {
  return (
    value === 0 ||
    (Number.isInteger(value) &&
      (value as number) >= SHORTEST_MS &&
      (value as number) <= LONGEST_TIMER_MS)
  );
}

function isPolicy(value: unknown, options: object): boolean {
  const { maxStaleness } = options as ResolvedStaleness;
  return value === 'bypass' || (value === 'fail' && maxStaleness !== 0);
}
