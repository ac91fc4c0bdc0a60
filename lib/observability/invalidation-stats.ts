import { Injectable } from '@nestjs/common';
import {
  InvalidationCounters,
  type InvalidationCounts,
} from './invalidation-counters.js';
import {
  InvalidationSources,
  type InvalidationSourceStatus,
} from './invalidation-sources.js';
import type { LatencySummary } from './latency-recorder.js';

/** Counts and latencies since the start, or since `reset()`. @publicApi */
export interface InvalidationStatsSnapshot extends InvalidationCounts {
  readonly since: Date;
  readonly latency: {
    /** Milliseconds from the call to the answer of Redis. */
    readonly publish: LatencySummary;
    /** Milliseconds from the publisher's timestamp to the delivery here: two clocks. */
    readonly propagation: LatencySummary;
    /** Milliseconds that handlers took. */
    readonly handler: LatencySummary;
  };
  /** The sources that are no regions, such as PostgreSQL; their counts are since the start. */
  readonly sources: Readonly<Record<string, InvalidationSourceStatus>>;
}

/**
 * Counts and latencies of this instance.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationStats {
  #since = new Date();
  /** Totals at the last `reset()`. */
  #before: Partial<InvalidationCounts> = {};

  /** @internal */
  constructor(
    private readonly counters: InvalidationCounters,
    private readonly sources: InvalidationSources,
  ) {}

  /** Counts and latencies since the start, or since `reset()`. */
  snapshot(): InvalidationStatsSnapshot {
    const { totals, latencies } = this.counters;
    const { publish, propagation, handler } = latencies;
    return {
      since: this.#since,
      ...difference(totals, this.#before),
      latency: {
        publish: publish.summary(),
        propagation: propagation.summary(),
        handler: handler.summary(),
      },
      sources: Object.fromEntries(
        this.sources.all.map((source) => [source.name, source.status()]),
      ),
    };
  }

  /** Starts over. Metrics that are derived from the totals never go back. */
  reset(): void {
    const { totals, latencies } = this.counters;
    this.#since = new Date();
    this.#before = { ...totals };
    for (const latency of Object.values(latencies)) latency.reset();
  }
}

function difference(
  now: InvalidationCounts,
  before: Partial<InvalidationCounts>,
): InvalidationCounts {
  const counts = { ...now } as Record<keyof InvalidationCounts, number>;
  for (const name of Object.keys(counts) as (keyof InvalidationCounts)[]) {
    counts[name] -= before[name] ?? 0;
  }
  return counts;
}
