import { nextTick } from 'node:process';
import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
  JournalAheadError,
} from '../errors/index.js';
import {
  compareOffsets,
  encodeMessage,
  parseTimestamp,
  wallClock,
  type Instance,
  type InvalidationMessage,
} from '../message/index.js';
import type {
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
} from '../stream/index.js';
import {
  refusedDelay,
  retryDelay,
  type InvalidationTransport,
  type Published,
  type PublishReply,
  type Refusal,
} from '../transport/index.js';
import type { OutboxRelay } from './durable.outbox.js';
import { InvalidationScope } from './invalidation.scope.js';
import { Outbox, type Unsent } from './outbox.js';
import type { PublishReceipt } from './publish-receipt.js';
import { SentMessages } from './sent.messages.js';
import type { EncodedMessage } from './split-batch.js';

/** Messages in one call: Redis works on one while we take the last one's answers. */
const CALL_LIMIT = 64;
/** Messages in one call of what the outbox held: there is one at a time. */
const DRAIN_LIMIT = 1_000;

/** @internal */
export interface PublishQueueOptions {
  /** Milliseconds that a caller waits for Redis at most. */
  readonly publishTimeout: number;
  /** How many messages may wait for Redis. */
  readonly outboxLimit: number;
  /** How many bytes of them. */
  readonly queueByteLimit: number;
  readonly maxMessageBytes: number;
}

/** @internal */
export interface PublishQueueContext {
  readonly instance: Instance;
  readonly transport: InvalidationTransport;
  readonly stream: InvalidationStream;
  readonly meter: InvalidationMeter;
  readonly errors: ErrorReporter;
}

/** One message under way, and whoever waits for it. */
interface Entry extends EncodedMessage {
  readonly at: number;
  /** Resolves the caller's receipt; `null` once it has been told. */
  tell: ((receipt: PublishReceipt) => void) | null;
}

/**
 * From the callers to the transport, in order. What is published in one tick
 * leaves in one call; what Redis does not take goes to the outbox and is
 * sent, ahead of anything newer, when Redis is back. Callers never wait for
 * longer than `publishTimeout`, and not at all while Redis is known to be away.
 *
 * @internal
 */
export class PublishQueue {
  readonly #outbox: Outbox;
  #tick: Entry[] = [];
  #inFlight = 0;
  /** Messages that are not delivered locally yet, until Redis has answered. */
  readonly #untold = new Map<string, Entry>();
  /** Messages that may come back over the channel. */
  readonly #sent = new SentMessages();
  /** Whether messages of the outbox are under way: newer ones wait for them. */
  #draining = false;
  /** Messages that the outbox has given since it was last empty. */
  #drained = 0;
  /** Redis is connected and does not answer. */
  #hanging = false;
  /** Failed while later ones were in flight; put back together, in order. */
  #failed: { order: number; unsent: Unsent[] }[] = [];
  #sends = 0;
  /** The numbers of the calls in flight, oldest first. */
  readonly #calls = new Set<number>();
  #closed = false;
  #attempt = 0;
  /** The last failure was a refusal, and costs Redis something. */
  #refused = false;
  #retry: NodeJS.Timeout | null = null;
  #idle: (() => void)[] = [];
  #lastOffset: string | null = null;

  constructor(
    private readonly options: PublishQueueOptions,
    private readonly context: PublishQueueContext,
    /** Told what becomes of each message, where somebody wants to know. */
    private readonly relay: Pick<OutboxRelay, 'sent' | 'replaced'> | null,
  ) {
    this.#outbox = new Outbox(
      { messages: options.outboxLimit, bytes: options.queueByteLimit },
      (invalidation) => context.instance.stamp(invalidation),
      relay === null ? null : (messageId) => relay.replaced(messageId),
    );
  }

  /** Messages that Redis has not taken, or not answered for. */
  get pending(): number {
    return this.#tick.length + this.#inFlight + this.#kept;
  }

  /**
   * Messages that wait for Redis. Of those under way only what it does not
   * answer, and what has waited before: it has not left until it is answered for.
   */
  get waiting(): number {
    const isLate = this.#hanging || this.#draining;
    return this.#kept + (isLate ? this.#inFlight : 0);
  }

  get #kept(): number {
    return (
      this.#failed.reduce((sum, { unsent }) => sum + unsent.length, 0) +
      this.#outbox.size
    );
  }

  /** Journal offset of the last message that Redis has taken. */
  get lastOffset(): string | null {
    return this.#lastOffset;
  }

  /** A number that only calls with what is published from now on reach. */
  get mark(): number {
    return this.#sends + Math.ceil(this.#tick.length / CALL_LIMIT);
  }

  /** Whether Redis has taken all that was published before a mark. */
  hasTaken(mark: number): boolean {
    if (this.pending === 0) return true;
    // The outbox holds older messages, wherever its calls are numbered.
    if (this.#kept > 0 || this.#draining || this.#sends < mark) return false;
    const [oldest = Infinity] = this.#calls;
    return oldest >= mark;
  }

  /** @param tell `null` if the message has been delivered here already */
  push(
    { message, payload }: EncodedMessage,
    at: number,
    tell: ((receipt: PublishReceipt) => void) | null,
  ): void {
    // nextTick and not a microtask: what answers one reply publishes the next,
    // and those continuations are microtasks that belong in the same call.
    if (this.#tick.length === 0) {
      // Messages of other callers leave in the same call, and their handlers answer for those.
      InvalidationScope.outside(() => nextTick(() => this.#flush()));
    }
    const entry = { message, payload, at, tell };
    if (tell !== null) this.#untold.set(message.messageId, entry);
    this.#tick.push(entry);
  }

  /**
   * Sends what an earlier run may have sent, unless the journal has it. Not by
   * way of the outbox: what is collapsed there would not be known to be sent.
   *
   * @returns whether it could be done now
   */
  resend(messages: readonly InvalidationMessage[]): boolean {
    if (!this.#canSend()) return false;
    this.#send(messages.map(entryOf), '-', messages.length);
    return true;
  }

  /** Whether an own message of this id is under way, and so can come back. */
  isUnderWay(messageId: string): boolean {
    return this.#sent.has(messageId);
  }

  /**
   * A message came back over the channel, or from the journal. Redis may deliver
   * it before it answers the publish; then it is delivered locally now.
   *
   * @returns whether it was an own message under way
   */
  heard(messageId: string): boolean {
    if (!this.#sent.remove(messageId)) return false;
    const entry = this.#untold.get(messageId);
    if (entry !== undefined) this.#deliver(entry);
    return true;
  }

  /** Redis is there: send what waits. */
  resume(): void {
    // One that refuses may well be the one that was connected to anew.
    if (!this.#refused) this.#attempt = 0;
    this.#drain();
  }

  /** Resolves once nothing is pending. */
  whenIdle(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
  }

  #flush(): void {
    const entries = this.#tick;
    this.#tick = [];
    if (!this.#canSend() || this.#draining || this.#outbox.size > 0) {
      for (const entry of entries) this.#queued(entry);
      this.#postpone(
        entries.map(({ message }) => ({ message, triedSince: null })),
      );
      // A retry that is due means that Redis refuses: more calls do not hasten it.
      if (this.#retry === null) this.#drain();
      return;
    }
    for (let from = 0; from < entries.length; from += CALL_LIMIT) {
      this.#send(
        entries.length <= CALL_LIMIT
          ? entries
          : entries.slice(from, from + CALL_LIMIT),
      );
    }
  }

  #canSend(): boolean {
    return (
      this.context.transport.writable &&
      !this.#hanging &&
      this.#failed.length === 0
    );
  }

  #send(entries: Entry[], triedSince: string | null = null, tried = 0): void {
    this.#inFlight += entries.length;
    for (const { message } of entries) this.#sent.add(message.messageId);
    const order = this.#sends++;
    this.#calls.add(order);
    // A first try that fails may be anywhere after what is known now.
    const since = triedSince ?? this.#lastOffset ?? '-';
    const deadline = setTimeout(
      () => this.#unanswered(entries),
      this.options.publishTimeout,
    );
    void this.context.transport
      .publish(
        entries.map(({ payload }) => payload),
        triedSince,
        tried,
      )
      .then((replies) => {
        clearTimeout(deadline);
        this.#answered(order, since, entries, replies);
      });
  }

  #answered(
    order: number,
    since: string,
    entries: Entry[],
    replies: readonly PublishReply[],
  ): void {
    const now = wallClock();
    let cause: Error | null = null;
    const sent: string[] | null = this.relay === null ? null : [];
    const unsent: Unsent[] = [];
    for (const [index, entry] of entries.entries()) {
      const reply = replies[index] ?? new Error('Redis gave no answer.');
      if (reply instanceof Error) {
        cause = reply;
        const searched = searchedUpTo(reply);
        this.#refused = searched !== undefined;
        unsent.push({
          message: entry.message,
          triedSince: searched ?? since,
        });
        this.#queued(entry);
      } else {
        const latency = Math.max(0, now - entry.at);
        this.context.meter.published(latency, entry.message, reply);
        this.#tookAt(reply);
        sent?.push(entry.message.messageId);
        this.#tell(entry, 'delivered', reply);
      }
    }
    this.#inFlight -= entries.length;
    this.#calls.delete(order);
    if (sent !== null) this.relay?.sent(sent);
    if (cause !== null) {
      this.#failed.push({ order, unsent });
      this.#reportFailure(cause);
    }
    if (this.#inFlight === 0) this.#settled();
  }

  /** A message that an earlier run announced has an old offset, which says nothing. */
  #tookAt({ offset, receivers }: Published): void {
    if (offset === null) return;
    const last = this.#lastOffset;
    if (last !== null && receivers === null && compareOffsets(offset, last) < 0)
      return;
    this.#lastOffset = offset;
  }

  /** Nothing is in flight: what failed can be put back in its order. */
  #settled(): void {
    this.#hanging = false;
    this.#draining = false;
    if (this.#failed.length > 0) {
      // Answers may come in another order than the calls went out.
      const failed = this.#failed
        .toSorted((a, b) => a.order - b.order)
        .flatMap(({ unsent }) => unsent);
      this.#failed = [];
      this.#noteCollapse(this.#outbox.putBack(failed));
      this.#drainLater();
    } else {
      this.#attempt = 0;
      this.#drain();
      if (this.#inFlight === 0) this.#sayDrained();
    }
    if (this.pending === 0) this.#becameIdle();
  }

  #unanswered(entries: readonly Entry[]): void {
    this.#hanging = true;
    for (const entry of entries) this.#queued(entry);
    this.context.meter.publishFailed();
    this.context.errors.report(
      new InvalidationTimeoutError(
        `Redis has not answered a publish for ${this.options.publishTimeout} ms.`,
        'Until it does, invalidations wait in the outbox and callers do not wait at all.',
        this.options.publishTimeout,
      ),
    );
  }

  #postpone(unsent: readonly Unsent[]): void {
    this.#noteCollapse(this.#outbox.add(unsent));
  }

  #drain(): void {
    if (this.#outbox.size === 0 || !this.#canSend() || this.#inFlight > 0) {
      return;
    }
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#draining = true;
    const unsent = this.#outbox.take(DRAIN_LIMIT);
    this.#drained += unsent.length;
    this.#send(
      unsent.map(({ message }) => entryOf(message)),
      firstTry(unsent),
      unsent.findLastIndex(({ triedSince }) => triedSince !== null) + 1,
    );
  }

  #sayDrained(): void {
    const count = this.#drained;
    this.#drained = 0;
    if (count === 0) return;
    this.context.errors.say(
      'log',
      `Redis has taken what had waited for it: ${count} ${count === 1 ? 'invalidation' : 'invalidations'}.`,
      'outbox-sent',
    );
  }

  #drainLater(): void {
    if (this.#closed) return;
    this.#retry ??= setTimeout(
      () => {
        this.#retry = null;
        this.#drain();
      },
      this.#refused
        ? refusedDelay(this.#attempt++)
        : retryDelay(this.#attempt++),
    );
  }

  /** Not sent yet; this instance must know of it all the same. */
  #queued(entry: Entry): void {
    if (entry.tell === null) return;
    this.context.meter.queued();
    this.#tell(entry, 'queued', null);
  }

  #tell(
    entry: Entry,
    status: PublishReceipt['status'],
    published: Published | null,
  ): void {
    const { tell, message } = entry;
    if (tell === null) return;
    entry.tell = null;
    this.#deliver(entry);
    tell({
      status,
      messageId: message.messageId,
      receivers: published?.receivers ?? null,
      offset: published?.offset ?? null,
    });
  }

  #deliver({ message }: Entry): void {
    if (!this.#untold.delete(message.messageId)) return;
    this.context.stream.deliver(message);
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

  #noteCollapse(collapsed: boolean): void {
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

  #becameIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}

/** `undefined` if that was no refusal. */
function searchedUpTo(reply: Error): string | null | undefined {
  return (reply as Partial<Refusal>).searchedUpTo;
}

/** An entry of the outbox for a message that nobody waits for. */
function entryOf(message: InvalidationMessage): Entry {
  return {
    message,
    // It was short enough, or is a collapse that must not be refused.
    payload: encodeMessage(message, Infinity),
    at: parseTimestamp(message.timestamp),
    tell: null,
  };
}

/** Journal offset from which on all of them are looked for. */
function firstTry(unsent: readonly Unsent[]): string | null {
  const tries = unsent.map(({ triedSince }) => triedSince);
  return tries.includes('-')
    ? '-'
    : (tries.find((since) => since !== null) ?? null);
}
