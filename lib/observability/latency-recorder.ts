import { createHistogram } from 'node:perf_hooks';

/** Milliseconds; zeros where nothing was measured. @publicApi */
export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Upper bounds of the buckets, in seconds; one more bucket is above them. @internal */
export const LATENCY_BOUNDS: readonly number[] = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 5, 10,
];

const BOUNDS_MS = LATENCY_BOUNDS.map((seconds) => seconds * 1_000);

const HOUR_US = 3_600_000_000;

/**
 * Records one kind of latency: percentiles since the last `reset()`, and buckets since
 * the start, as metrics systems need them.
 *
 * @internal
 */
export class LatencyRecorder {
  /** Called with each latency, in milliseconds. */
  listener: ((latency: number) => void) | null = null;
  /** Counts of each bucket alone, the last one above all bounds. */
  readonly counts: Float64Array = new Float64Array(BOUNDS_MS.length + 1);
  #sum = 0;
  readonly #histogram = createHistogram({
    lowest: 1,
    highest: HOUR_US,
    figures: 3,
  });

  /** Sum of all values since the start, in seconds. */
  get sum(): number {
    return this.#sum / 1_000;
  }

  /** @param latency milliseconds; negative if two clocks disagree */
  record(latency: number): void {
    const ms = Math.max(0, latency);
    this.#histogram.record(
      Math.min(HOUR_US, Math.max(1, Math.round(ms * 1_000))),
    );
    let bucket = 0;
    while (ms > BOUNDS_MS[bucket]!) bucket++;
    this.counts[bucket]! += 1;
    this.#sum += ms;
    if (this.listener !== null) notify(this.listener, ms);
  }

  reset(): void {
    this.#histogram.reset();
  }

  summary(): LatencySummary {
    const histogram = this.#histogram;
    if (histogram.count === 0)
      return { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };
    const at = (percentile: number): number =>
      histogram.percentile(percentile) / 1_000;
    return {
      count: histogram.count,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      max: histogram.max / 1_000,
    };
  }
}

/** Calls the listener; its error must not interrupt the delivery of messages. */
function notify(listener: (latency: number) => void, ms: number): void {
  try {
    listener(ms);
  } catch {
    // The listener loses this measurement.
  }
}
