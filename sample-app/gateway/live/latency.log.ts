import { createHistogram } from 'node:perf_hooks';
import type { LatencyPoint } from './frame.js';

/** Number of seconds with messages that are kept, however long ago they were. */
const KEPT = 120;

const HOUR_US = 3_600_000_000;

/** Percentiles of the last seconds with messages. */
export class LatencyLog {
  readonly #points: LatencyPoint[] = [];
  readonly #histogram = createHistogram({ highest: HOUR_US });
  #second = 0;
  #late = 0;

  /** @param now and `latency` in milliseconds */
  record(now: number, latency: number): void {
    this.#turnTo(now);
    const micros = Math.round(latency * 1_000);
    this.#histogram.record(Math.min(HOUR_US, Math.max(1, micros)));
  }

  /** Counts a message that was late because Redis was away; it is not measured. */
  recordLate(now: number): void {
    this.#turnTo(now);
    this.#late++;
  }

  /** Latencies of the seconds that have ended since the given one. */
  after(second: number, now: number): LatencyPoint[] {
    this.#turnTo(now);
    return this.#points.filter((point) => point.second > second);
  }

  #turnTo(now: number): void {
    const second = Math.floor(now / 1_000);
    if (second === this.#second) return;
    if (this.#histogram.count + this.#late > 0) this.#keep();
    this.#histogram.reset();
    this.#late = 0;
    this.#second = second;
  }

  #keep(): void {
    const { count } = this.#histogram;
    const at = (percentile: number): number | null =>
      count === 0 ? null : this.#histogram.percentile(percentile) / 1_000;
    this.#points.push({
      second: this.#second,
      count,
      late: this.#late,
      p50: at(50),
      p99: at(99),
    });
    if (this.#points.length > KEPT) this.#points.shift();
  }
}
