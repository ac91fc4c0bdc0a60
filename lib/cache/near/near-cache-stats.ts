import type { L2Stats } from '../shared/l2-tier.js';

/** Counts of a near cache since it was created. @publicApi */
export interface NearCacheStats {
  /** Reads that were answered from memory. */
  readonly hits: number;
  /** Other reads, including those that joined a load under way. */
  readonly misses: number;
  /** Calls of a loader. */
  readonly loads: number;
  /** Loaded values that an invalidation had overtaken: returned, not kept. */
  readonly overtaken: number;
  /** Values that the replica may not have had the last change of: returned, not kept. */
  readonly behind: number;
  /** Calls of `primary`, for what the replica may not have had the last change of. */
  readonly primaryLoads: number;
  /** Entries in memory now. */
  readonly size: number;
  /** Entries found in Redis, and kept in memory from then on. */
  readonly l2Hits: number;
  /** Entries found in Redis that an invalidation has affected since, or may have. */
  readonly l2Refused: number;
  /** Failures of Redis and of the serializer; the value was loaded instead. */
  readonly l2Errors: number;
  /** Loaded values that Redis would not give back unchanged: kept in memory only. */
  readonly l2Unshared: number;
}

/** Running counts of one near cache. @internal */
export interface NearCacheCounts {
  hits: number;
  misses: number;
  loads: number;
  overtaken: number;
  behind: number;
  primaryLoads: number;
}

/** Counts of a cache without a second tier. @internal */
export const NO_L2_STATS: L2Stats = {
  l2Hits: 0,
  l2Refused: 0,
  l2Errors: 0,
  l2Unshared: 0,
};

/** Sums the counts of two caches. @internal */
export function sumOf(
  one: NearCacheStats,
  other: NearCacheStats,
): NearCacheStats {
  return {
    hits: one.hits + other.hits,
    misses: one.misses + other.misses,
    loads: one.loads + other.loads,
    overtaken: one.overtaken + other.overtaken,
    behind: one.behind + other.behind,
    primaryLoads: one.primaryLoads + other.primaryLoads,
    size: one.size + other.size,
    l2Hits: one.l2Hits + other.l2Hits,
    l2Refused: one.l2Refused + other.l2Refused,
    l2Errors: one.l2Errors + other.l2Errors,
    l2Unshared: one.l2Unshared + other.l2Unshared,
  };
}
