import { Injectable } from '@nestjs/common';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { InvalidationMeter } from '../stream/index.js';

/** Milliseconds; zeros where nothing was measured. @publicApi */
export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** What happened since the start, or since `reset()`. @publicApi */
export interface InvalidationStatsSnapshot {
  readonly since: Date;
  /** Own messages that Redis took. */
  readonly published: number;
  /** Own messages that had to wait in the outbox. */
  readonly queued: number;
  /** Messages of other instances that arrived. */
  readonly received: number;
  /** Messages of other instances that were missed, and read from the journal. */
  readonly replayed: number;
  /** Messages handed to this instance's consumers, own and widened ones included. */
  readonly delivered: number;
  /** Messages made coarser on purpose. */
  readonly widened: number;
  /** Payloads on the channel that were no message. */
  readonly malformed: number;
  /** Handlers and selectors of the application's that threw. */
  readonly handlerErrors: number;
  /** Publishes that failed or were not answered in time; a pipeline counts once. */
  readonly publishErrors: number;
  readonly latency: {
    /** From the call to Redis' answer. */
    readonly publish: LatencySummary;
    /** From the publisher's timestamp to the delivery here: two machines' clocks. */
    readonly propagation: LatencySummary;
    /** What a handler took. */
    readonly handler: LatencySummary;
  };
}

const COUNTERS = {
  published: 0,
  queued: 0,
  received: 0,
  replayed: 0,
  delivered: 0,
  widened: 0,
  malformed: 0,
  handlerErrors: 0,
  publishErrors: 0,
};

const HOUR_US = 3_600_000_000;

/**
 * Counts and latencies of this instance.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationStats extends InvalidationMeter {
  #since = new Date();
  #counts = { ...COUNTERS };
  readonly #publish = histogram();
  readonly #propagation = histogram();
  readonly #handler = histogram();

  snapshot(): InvalidationStatsSnapshot {
    return {
      since: this.#since,
      ...this.#counts,
      latency: {
        publish: summary(this.#publish),
        propagation: summary(this.#propagation),
        handler: summary(this.#handler),
      },
    };
  }

  /** Begins anew. */
  reset(): void {
    this.#since = new Date();
    this.#counts = { ...COUNTERS };
    for (const each of [this.#publish, this.#propagation, this.#handler]) {
      each.reset();
    }
  }

  /** @internal */
  override published(latency: number): void {
    this.#counts.published++;
    record(this.#publish, latency);
  }

  /** @internal */
  override queued(): void {
    this.#counts.queued++;
  }

  /** @internal */
  override publishFailed(): void {
    this.#counts.publishErrors++;
  }

  /** @internal */
  override received(): void {
    this.#counts.received++;
  }

  /** @internal */
  override replayed(): void {
    this.#counts.replayed++;
  }

  /** @internal */
  override malformed(): void {
    this.#counts.malformed++;
  }

  /** @internal */
  override delivered(): void {
    this.#counts.delivered++;
  }

  /** @internal */
  override propagated(latency: number): void {
    record(this.#propagation, latency);
  }

  /** @internal */
  override handled(latency: number): void {
    record(this.#handler, latency);
  }

  /** @internal */
  override handlerFailed(): void {
    this.#counts.handlerErrors++;
  }

  /** @internal */
  override widened(): void {
    this.#counts.widened++;
  }
}

function histogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: HOUR_US, figures: 3 });
}

/** @param latency milliseconds; two clocks may disagree by less than nothing */
function record(into: RecordableHistogram, latency: number): void {
  into.record(Math.min(HOUR_US, Math.max(1, Math.round(latency * 1_000))));
}

function summary(of: RecordableHistogram): LatencySummary {
  if (of.count === 0) return { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };
  const at = (percentile: number): number => of.percentile(percentile) / 1_000;
  return {
    count: of.count,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    max: of.max / 1_000,
  };
}
