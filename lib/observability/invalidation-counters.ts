import { Injectable } from '@nestjs/common';
import { Instance, type InvalidationMessage } from '../message/index.js';
import type { UnverifiedReason } from '../signing/index.js';
import { InvalidationMeter, type CountedWidening } from '../stream/index.js';
import type { Published } from '../transport/index.js';
import { CHANNELS, type EventSender } from './diagnostics-channels.js';
import { LatencyRecorder } from './latency-recorder.js';

/** Counts of events. @publicApi */
export interface InvalidationCounts {
  /** Messages of this instance that Redis accepted. */
  readonly published: number;
  /** Own messages that had to wait in the outbox. */
  readonly queued: number;
  /** Messages of other instances that arrived. */
  readonly received: number;
  /** Messages of other instances that were missed, and read from the journal. */
  readonly replayed: number;
  /** Messages handed to this instance's consumers, own and widened ones included. */
  readonly delivered: number;
  /** Messages that were made coarser on purpose. */
  readonly widened: number;
  /** Payloads on the channel that were not a valid message. */
  readonly malformed: number;
  /** Messages that were not obeyed, since they could not be verified (option `signing`). */
  readonly unverified: number;
  /** Handlers and selectors of the application that threw. */
  readonly handlerErrors: number;
  /** Publishes that failed or were not answered in time; a pipeline counts once. */
  readonly publishErrors: number;
  /** Times the subscription was restored after it was lost. */
  readonly reconnects: number;
}

type Counters = { -readonly [Name in keyof InvalidationCounts]: number };

const ZERO: InvalidationCounts = {
  published: 0,
  queued: 0,
  received: 0,
  replayed: 0,
  delivered: 0,
  widened: 0,
  malformed: 0,
  unverified: 0,
  handlerErrors: 0,
  publishErrors: 0,
  reconnects: 0,
};

/**
 * Counts and measures the work of this instance since the start, and reports it on the
 * diagnostics channels.
 *
 * @internal
 */
@Injectable()
export class InvalidationCounters extends InvalidationMeter {
  readonly #totals: Counters = { ...ZERO };
  readonly #widenedBy = new Map<CountedWidening, number>();
  readonly #unverifiedBy = new Map<UnverifiedReason, number>();

  readonly latencies = {
    publish: new LatencyRecorder(),
    propagation: new LatencyRecorder(),
    handler: new LatencyRecorder(),
  };

  constructor(private readonly instance: Instance) {
    super();
  }

  get totals(): InvalidationCounts {
    return this.#totals;
  }

  /** Widenings by cause. */
  get widenedBy(): ReadonlyMap<CountedWidening, number> {
    return this.#widenedBy;
  }

  /** Messages that could not be verified, by reason. */
  get unverifiedBy(): ReadonlyMap<UnverifiedReason, number> {
    return this.#unverifiedBy;
  }

  override published(
    latency: number,
    message: InvalidationMessage,
    reply: Published,
  ): void {
    this.#totals.published++;
    this.latencies.publish.record(latency);
    if (CHANNELS.published.hasSubscribers) {
      const { receivers, offset } = reply;
      CHANNELS.published.publish(
        this.#event({ message, latency, receivers, offset }),
      );
    }
  }

  override queued(): void {
    this.#totals.queued++;
  }

  override publishFailed(): void {
    this.#totals.publishErrors++;
  }

  override received(): void {
    this.#totals.received++;
  }

  override replayed(): void {
    this.#totals.replayed++;
  }

  override malformed(): void {
    this.#totals.malformed++;
  }

  override unverified(reason: UnverifiedReason): void {
    this.#totals.unverified++;
    this.#unverifiedBy.set(reason, (this.#unverifiedBy.get(reason) ?? 0) + 1);
  }

  override delivered(message: InvalidationMessage): void {
    this.#totals.delivered++;
    if (CHANNELS.delivered.hasSubscribers) {
      CHANNELS.delivered.publish(this.#event({ message }));
    }
  }

  override propagated(latency: number): void {
    this.latencies.propagation.record(latency);
  }

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

  override handlerFailed(): void {
    this.#totals.handlerErrors++;
  }

  override widened(cause: CountedWidening): void {
    this.#totals.widened++;
    this.#widenedBy.set(cause, (this.#widenedBy.get(cause) ?? 0) + 1);
    if (CHANNELS.widened.hasSubscribers) {
      CHANNELS.widened.publish(this.#event({ cause }));
    }
  }

  override reconnected(): void {
    this.#totals.reconnects++;
  }

  #event<T extends object>(event: T): EventSender & T {
    const { serviceName, origin } = this.instance;
    return { serviceName, origin, ...event };
  }
}
