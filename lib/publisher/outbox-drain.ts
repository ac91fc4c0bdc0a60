import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { refusedDelay, retryDelay } from '../common/index.js';
import { Instance } from '../message/index.js';
import { InvalidationStream } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { FailedCalls } from './failed-calls.js';
import { OutboxReports } from './outbox-reports.js';
import { firstTryOf, Outbox, type Unsent } from './outbox.js';
import { Publication } from './publication.js';
import { StoredRows } from './stored-rows.js';

/** Messages of the outbox in one call: there is one call at a time. */
const DRAIN_LIMIT = 1_000;

/** @internal */
export interface DrainOptions {
  /** How many messages may wait for Redis. */
  readonly outboxLimit: number;
  /** How many bytes of them. */
  readonly queueByteLimit: number;
}

/** The queue, as its drain sees it. @internal */
export interface DrainingQueue {
  /** Messages that Redis has not answered for. */
  readonly inFlight: number;
  /**
   * @param triedSince journal offset from which on earlier tries are looked for
   * @param tried how many of them, from the first on, may have been tried
   */
  send(
    publications: Publication[],
    triedSince: string | null,
    tried: number,
  ): void;
}

/**
 * Keeps the messages that Redis has not taken, in their order, and sends them
 * when Redis is back, ahead of anything newer. After a failure it waits longer
 * each time.
 *
 * @internal
 */
@Injectable()
export class OutboxDrain {
  readonly #outbox: Outbox;
  #queue!: DrainingQueue;
  /** Failed calls while later ones are in flight; put back together, in order. */
  readonly #failed = new FailedCalls();
  /** Whether messages of the outbox are under way: newer ones wait for them. */
  #draining = false;
  /** Whether Redis is connected and does not answer. */
  #hanging = false;
  /** Messages that the outbox has given since it was last empty. */
  #drained = 0;
  #attempt = 0;
  /** Whether Redis refused the last failed call, which costs it something. */
  #refused = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: DrainOptions,
    instance: Instance,
    rows: StoredRows,
    private readonly transport: InvalidationTransport,
    private readonly stream: InvalidationStream,
    private readonly reports: OutboxReports,
  ) {
    this.#outbox = new Outbox(
      { messages: options.outboxLimit, bytes: options.queueByteLimit },
      (invalidation, at) => instance.stamp(invalidation, undefined, at),
      rows.used ? (messageId) => rows.replaced(messageId) : null,
    );
  }

  drainInto(queue: DrainingQueue): void {
    this.#queue = queue;
  }

  /** Messages that are not under way. */
  get size(): number {
    return this.#failed.messages + this.#outbox.size;
  }

  /** Whether messages that waited here are under way. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Whether messages under way have waited, or wait for a Redis that hangs. */
  get late(): boolean {
    return this.#hanging || this.#draining;
  }

  /** Whether a call may go to Redis. */
  get canSend(): boolean {
    return (
      this.transport.writable && !this.#hanging && this.#failed.messages === 0
    );
  }

  /** Whether a new message may go to Redis, since no older one waits. */
  get canPass(): boolean {
    return this.canSend && !this.#draining && this.#outbox.size === 0;
  }

  /** Keeps messages that were never tried. */
  keep(publications: readonly Publication[]): void {
    if (
      this.#outbox.add(
        publications.map(({ message }) => ({ message, triedSince: null })),
      )
    )
      this.reports.collapsed();
    // A retry that is due means that Redis refuses: more calls do not hasten it.
    if (this.#retry === undefined) this.#drain();
  }

  /**
   * Keeps the messages of a call that failed, for the time being.
   *
   * @param order the number of the call
   * @param refused whether Redis answered that it does not take them
   */
  fail(
    order: number,
    unsent: readonly Unsent[],
    { cause, refused }: { cause: Error; refused: boolean },
  ): void {
    this.#failed.add(order, unsent);
    this.#refused = refused;
    if (!this.#closed) this.reports.failed(cause);
  }

  /** A call was not answered within `publishTimeout`. */
  hang(): void {
    this.#hanging = true;
    this.reports.unanswered();
  }

  /** Nothing is in flight: failed messages are put back in their order. */
  settle(): void {
    this.#hanging = false;
    this.#draining = false;
    if (this.#failed.messages > 0) {
      if (this.#outbox.putBack(this.#failed.takeInOrder()))
        this.reports.collapsed();
      this.#drainLater();
    } else {
      this.#attempt = 0;
      this.#drain();
      if (this.#queue.inFlight > 0) return;
      this.reports.drained(this.#drained);
      this.#drained = 0;
    }
  }

  /** Redis is there: send what waits. */
  resume(): void {
    // One that refuses may well be the one that was connected to anew.
    if (!this.#refused) this.#attempt = 0;
    this.#drain();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
  }

  #drain(): void {
    const isIdle = this.canSend && this.#queue.inFlight === 0;
    if (this.#outbox.size === 0 || !isIdle) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#draining = true;
    const unsent = this.#outbox.take(DRAIN_LIMIT);
    this.#drained += unsent.length;
    this.#queue.send(
      unsent.map(({ message }) => Publication.ofWaiting(this.stream, message)),
      firstTryOf(unsent),
      unsent.findLastIndex(({ triedSince }) => triedSince !== null) + 1,
    );
  }

  #drainLater(): void {
    if (this.#closed) return;
    const delay = this.#refused ? refusedDelay : retryDelay;
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#drain();
    }, delay(this.#attempt++));
  }
}
