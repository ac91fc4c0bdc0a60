import { createHistogram } from 'node:perf_hooks';
import type { LatencyPoint } from './frame.js';

/** Two minutes. */
const KEPT = 120;

const HOUR_US = 3_600_000_000;

/** Percentiles of each second in which there was something to measure. */
export class LatencyLog {
  readonly #points: LatencyPoint[] = [];
  readonly #histogram = createHistogram({ highest: HOUR_US });
  #second = 0;

  /** @param now and `latency` in milliseconds */
  record(now: number, latency: number): void {
    this.#turnTo(now);
    const micros = Math.round(latency * 1_000);
    this.#histogram.record(Math.min(HOUR_US, Math.max(1, micros)));
  }

  /** Seconds that have ended since that one. */
  after(second: number, now: number): LatencyPoint[] {
    this.#turnTo(now);
    return this.#points.filter((point) => point.second > second);
  }

  #turnTo(now: number): void {
    const second = Math.floor(now / 1_000);
    if (second === this.#second) return;
    const { count } = this.#histogram;
    if (count > 0) this.#keep(count);
    this.#histogram.reset();
    this.#second = second;
  }

  #keep(count: number): void {
    const at = (percentile: number): number =>
      this.#histogram.percentile(percentile) / 1_000;
    this.#points.push({
      second: this.#second,
      count,
      p50: at(50),
      p99: at(99),
    });
    if (this.#points.length > KEPT) this.#points.shift();
  }
}
