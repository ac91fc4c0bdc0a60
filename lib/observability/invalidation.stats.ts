import { Injectable } from '@nestjs/common';
import type { InvalidationMessage } from '../message/index.js';
import { InvalidationMeter, type CountedWidening } from '../stream/index.js';
import type { Published } from '../transport/index.js';
import { CHANNELS, type EventSender } from './diagnostics.channels.js';
import { LatencyRecorder, type LatencySummary } from './latency.recorder.js';

/** Counts and latencies since the start, or since `reset()`. @publicApi */
export interface InvalidationStatsSnapshot extends InvalidationCounts {
  readonly since: Date;
  readonly latency: {
    /** From the call to Redis' answer. */
    readonly publish: LatencySummary;
    /** From the publisher's timestamp to the delivery here: two machines' clocks. */
    readonly propagation: LatencySummary;
    /** Milliseconds that handlers took. */
    readonly handler: LatencySummary;
  };
}

/** How often what happened. @publicApi */
export interface InvalidationCounts {
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
  /** How often something coarser was said on purpose. */
  readonly widened: number;
  /** Payloads on the channel that were no message. */
  readonly malformed: number;
  /** Handlers and selectors of the application's that threw. */
  readonly handlerErrors: number;
  /** Publishes that failed or were not answered in time; a pipeline counts once. */
  readonly publishErrors: number;
  /** How often the subscription stood again after it was lost. */
  readonly reconnects: number;
}

type Counts = { -readonly [Name in keyof InvalidationCounts]: number };

const COUNTERS: InvalidationCounts = {
  published: 0,
  queued: 0,
  received: 0,
  replayed: 0,
  delivered: 0,
  widened: 0,
  malformed: 0,
  handlerErrors: 0,
  publishErrors: 0,
  reconnects: 0,
};

/**
 * Counts and latencies of this instance.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationStats extends InvalidationMeter {
  #since = new Date();
  readonly #counts: Counts = { ...COUNTERS };
  /** The counts at the last `reset()`. */
  #before = COUNTERS;
  readonly #widened = new Map<CountedWidening, number>();

  /** @internal */
  readonly latencies = {
    publish: new LatencyRecorder(),
    propagation: new LatencyRecorder(),
    handler: new LatencyRecorder(),
  };

  /** @internal */
  constructor(private readonly sender: EventSender) {
    super();
  }

  /** Counts and latencies since the start, or since `reset()`. */
  snapshot(): InvalidationStatsSnapshot {
    const { publish, propagation, handler } = this.latencies;
    return {
      since: this.#since,
      ...difference(this.#counts, this.#before),
      latency: {
        publish: publish.summary(),
        propagation: propagation.summary(),
        handler: handler.summary(),
      },
    };
  }

  /** Begins anew. Metrics that are derived from it do not: they never go back. */
  reset(): void {
    this.#since = new Date();
    this.#before = { ...this.#counts };
    for (const latency of Object.values(this.latencies)) latency.reset();
  }

  /** Since the start. @internal */
  get totals(): InvalidationCounts {
    return this.#counts;
  }

  /** Since the start, by cause. @internal */
  get widenedBy(): ReadonlyMap<CountedWidening, number> {
    return this.#widened;
  }

  /** @internal */
  override published(
    latency: number,
    message: InvalidationMessage,
    reply: Published,
  ): void {
    this.#counts.published++;
    this.latencies.publish.record(latency);
    if (CHANNELS.published.hasSubscribers) {
      const { receivers, offset } = reply;
      CHANNELS.published.publish(
        this.#event({ message, latency, receivers, offset }),
      );
    }
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
  override delivered(message: InvalidationMessage): void {
    this.#counts.delivered++;
    if (CHANNELS.delivered.hasSubscribers) {
      CHANNELS.delivered.publish(this.#event({ message }));
    }
  }

  /** @internal */
  override propagated(latency: number): void {
    this.latencies.propagation.record(latency);
  }

  /** @internal */
  override handled(
    latency: number,
    handler: string,
    message: InvalidationMessage,
  ): void {
    this.latencies.handler.record(latency);
    if (CHANNELS.handled.hasSubscribers) {
      CHANNELS.handled.publish(this.#event({ message, handler, latency }));
    }
  }

  /** @internal */
  override handlerFailed(): void {
    this.#counts.handlerErrors++;
  }

  /** @internal */
  override widened(cause: CountedWidening): void {
    this.#counts.widened++;
    this.#widened.set(cause, (this.#widened.get(cause) ?? 0) + 1);
    if (CHANNELS.widened.hasSubscribers) {
      CHANNELS.widened.publish(this.#event({ cause }));
    }
  }

  /** @internal */
  override reconnected(): void {
    this.#counts.reconnects++;
  }

  #event<T extends object>(said: T): EventSender & T {
    const { serviceName, origin } = this.sender;
    return { serviceName, origin, ...said };
  }
}

function difference(
  now: InvalidationCounts,
  before: InvalidationCounts,
): InvalidationCounts {
  const counts: Counts = { ...now };
  for (const name of Object.keys(counts) as (keyof Counts)[]) {
    counts[name] -= before[name];
  }
  return counts;
}
