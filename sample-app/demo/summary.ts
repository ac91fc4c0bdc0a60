import type { LatencySummary } from 'nestjs-cache-invalidation';

/** Percentiles by nearest rank: each is a measured time. */
export function summaryOf(times: readonly number[]): LatencySummary {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (percentile: number): number =>
    sorted[Math.ceil((percentile / 100) * sorted.length) - 1] ?? 0;
  return {
    count: sorted.length,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    max: at(100),
  };
}
