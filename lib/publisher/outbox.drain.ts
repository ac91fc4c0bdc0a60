import { refusedDelay, retryDelay } from '../common/index.js';
import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
  JournalAheadError,
} from '../errors/index.js';

import type { OutboxRelay } from './outbox.relay.js';
import { Outbox, type Unsent } from './outbox.js';
import { Publication } from './publication.js';
import type {
  PublishQueueContext,
  PublishQueueOptions,
} from './publish.queue.js';

/** Messages of the outbox in one call: there is one call at a time. */
const DRAIN_LIMIT = 1_000;

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
export class OutboxDrain {
  readonly #outbox: Outbox;
  /** Failed calls while later ones are in flight; put back together, in order. */
  #failed: { order: number; unsent: readonly Unsent[] }[] = [];
  /** Whether messages of the outbox are under way: newer ones wait for them. */
  #draining = false;
  /** Whether Redis is connected and does not answer. */
  #hanging = false;
  /** Messages that the outbox has given since it was last empty. */
  #drained = 0;
  #attempt = 0;
  /** Whether Redis refused the last failed call, which costs it something. */
  #refused = false;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(
    private readonly options: PublishQueueOptions,
    private readonly context: PublishQueueContext,
    private readonly queue: DrainingQueue,
    relay: Pick<OutboxRelay, 'replaced'> | null,
  ) {
    this.#outbox = new Outbox(
      { messages: options.outboxLimit, bytes: options.queueByteLimit },
      (invalidation) => context.instance.stamp(invalidation),
      relay === null ? null : (messageId) => relay.replaced(messageId),
    );
  }

  /** Messages that are not under way. */
  get size(): number {
    return (
      this.#failed.reduce((sum, { unsent }) => sum + unsent.length, 0) +
      this.#outbox.size
    );
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
      this.context.transport.writable &&
      !this.#hanging &&
      this.#failed.length === 0
    );
  }

  /** Whether a new message may go to Redis, since no older one waits. */
  get canPass(): boolean {
    return this.canSend && !this.#draining && this.#outbox.size === 0;
  }

  /** Keeps messages that were never tried. */
  keep(publications: readonly Publication[]): void {
    this.#reportCollapse(
      this.#outbox.add(
        publications.map(({ message }) => ({ message, triedSince: null })),
      ),
    );
    // A retry that is due means that Redis refuses: more calls do not hasten it.
    if (this.#retry === null) this.#drain();
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
    this.#failed.push({ order, unsent });
    this.#refused = refused;
    this.#reportFailure(cause);
  }

  /** A call was not answered within `publishTimeout`. */
  hang(): void {
    this.#hanging = true;
    const { publishTimeout } = this.options;
    this.context.meter.publishFailed();
    this.context.errors.report(
      new InvalidationTimeoutError(
        `Redis has not answered a publish for ${publishTimeout} ms.`,
        'Until it does, invalidations wait in the outbox and callers do not wait at all.',
        publishTimeout,
      ),
    );
  }

  /** Nothing is in flight: failed messages are put back in their order. */
  settle(): void {
    this.#hanging = false;
    this.#draining = false;
    if (this.#failed.length > 0) {
      // Answers may come in another order than the calls went out.
      const failed = this.#failed
        .toSorted((a, b) => a.order - b.order)
        .flatMap(({ unsent }) => unsent);
      this.#failed = [];
      this.#reportCollapse(this.#outbox.putBack(failed));
      this.#drainLater();
    } else {
      this.#attempt = 0;
      this.#drain();
      if (this.queue.inFlight === 0) this.#reportDrained();
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
    if (this.#retry !== null) clearTimeout(this.#retry);
  }

  #drain(): void {
    const isIdle = this.canSend && this.queue.inFlight === 0;
    if (this.#outbox.size === 0 || !isIdle) return;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#draining = true;
    const unsent = this.#outbox.take(DRAIN_LIMIT);
    this.#drained += unsent.length;
    this.queue.send(
      unsent.map(({ message }) => Publication.ofWaiting(message)),
      firstTry(unsent),
      unsent.findLastIndex(({ triedSince }) => triedSince !== null) + 1,
    );
  }

  #drainLater(): void {
    if (this.#closed) return;
    const delay = this.#refused ? refusedDelay : retryDelay;
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#drain();
    }, delay(this.#attempt++));
  }

  #reportDrained(): void {
    const count = this.#drained;
    this.#drained = 0;
    if (count === 0) return;
    this.context.errors.log(
      'log',
      `Redis has taken what had waited for it: ${count} ${count === 1 ? 'invalidation' : 'invalidations'}.`,
      'outbox-sent',
    );
  }

  #reportFailure(cause: Error): void {
    if (this.#closed) return;
    this.context.meter.publishFailed();
    this.context.errors.report(
      cause instanceof JournalAheadError
        ? cause
        : new InvalidationRedisError(
            `Redis did not take a publish: ${describeCause(cause)}.`,
            'It waits in the outbox and will be sent again.',
            cause,
          ),
    );
  }

  #reportCollapse(collapsed: boolean): void {
    if (!collapsed) return;
    this.context.meter.widened('outbox-overflow');
    this.context.errors.report(
      new InvalidationRedisError(
        `More than ${this.options.outboxLimit} invalidations, or ${this.options.queueByteLimit} bytes of them, wait for Redis.`,
        'They were collapsed to coarser ones (options outboxLimit, queueByteLimit): nothing is lost, more entries will be evicted.',
      ),
      'outbox-overflow',
    );
  }
}

/** Journal offset from which on all of them are looked for. */
function firstTry(unsent: readonly Unsent[]): string | null {
  const tries = unsent.map(({ triedSince }) => triedSince);
  return tries.includes('-')
    ? '-'
    : (tries.find((since) => since !== null) ?? null);
}
