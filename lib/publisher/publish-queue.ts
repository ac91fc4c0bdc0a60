import { nextTick as realNextTick } from 'node:process';
import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { wallClock, type InvalidationMessage } from '../message/index.js';
import {
  InvalidationMeter,
  InvalidationStream,
  OwnMessages,
  PublishProgress,
} from '../stream/index.js';
import {
  InvalidationTransport,
  type Published,
  type PublishReply,
  type Refusal,
} from '../transport/index.js';
import { CallLog } from './call-log.js';
import { OutboxDrain, type DrainingQueue } from './outbox-drain.js';
import type { Unsent } from './outbox.js';
import { Publication } from './publication.js';
import type { PublishReceipt } from './publish-receipt.js';
import type { EncodedMessage } from './split-batch.js';
import { StoredRows } from './stored-rows.js';
import { outsideScopes } from './scope-context.js';

/** Real under a test's fake timers, if it loads this file before them. */
const nextTick = realNextTick;

/** Messages in one call: Redis works on one call while the last one's answers are read. */
const CALL_LIMIT = 64;

/**
 * Takes messages from the callers to the transport, in order. Messages of one tick
 * leave in one call; messages that Redis does not take wait in the outbox, and are
 * sent ahead of newer ones when Redis is back. Callers never wait for longer than
 * `publishTimeout`, and not at all while Redis is known to be away.
 *
 * @internal
 */
@Injectable()
export class PublishQueue extends PublishProgress implements DrainingQueue {
  #tick: Publication[] = [];
  readonly #calls = new CallLog();
  #idle: (() => void)[] = [];

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    /** `publishTimeout`: how long a caller waits for Redis at most, in milliseconds. */
    private readonly options: { readonly publishTimeout: number },
    private readonly transport: InvalidationTransport,
    private readonly own: OwnMessages,
    private readonly rows: StoredRows,
    private readonly drain: OutboxDrain,
    private readonly stream: InvalidationStream,
    private readonly meter: InvalidationMeter,
  ) {
    super();
    drain.drainInto(this);
  }

  /** Messages that Redis has not answered for. */
  get inFlight(): number {
    return this.#calls.messagesInFlight;
  }

  /** Messages that Redis has not taken, or not answered for. */
  get pending(): number {
    return this.#tick.length + this.inFlight + this.drain.size;
  }

  /**
   * Messages that wait for Redis. Those under way count only if Redis does not
   * answer them, or if they have waited before.
   */
  get waiting(): number {
    return this.drain.size + (this.drain.late ? this.inFlight : 0);
  }

  /** Journal offset of the last message that Redis has taken. */
  get lastOffset(): string | null {
    return this.#calls.lastOffset;
  }

  /** A number that only calls with later messages reach. */
  get mark(): number {
    return this.#calls.begun + Math.ceil(this.#tick.length / CALL_LIMIT);
  }

  /** Whether Redis has taken all that was published before a mark. */
  hasTaken(mark: number): boolean {
    if (this.pending === 0) return true;
    // The outbox holds older messages, wherever its calls are numbered.
    const isOlderWaiting = this.drain.size > 0 || this.drain.draining;
    return !isOlderWaiting && this.#calls.hasAnswered(mark);
  }

  /**
   * @param encoded read when the tick ends
   * @param settle takes the receipt; `null` if the message has been delivered here
   */
  push(
    encoded: EncodedMessage,
    at: number,
    settle: ((receipt: PublishReceipt) => void) | null,
  ): void {
    // nextTick and not a microtask: what answers one reply publishes the next,
    // and those continuations are microtasks that belong in the same call.
    if (this.#tick.length === 0) {
      // Messages of other callers leave in the same call, and their handlers answer for those.
      outsideScopes(() => nextTick(() => this.#flush()));
    }
    this.#tick.push(new Publication(this.stream, encoded, at, settle));
  }

  /**
   * Sends messages that an earlier run may have sent, unless the journal has them.
   * Not by way of the outbox: collapsed there, they could not be known to be sent.
   *
   * @returns whether it could be done now
   */
  resend(messages: readonly InvalidationMessage[]): boolean {
    if (!this.drain.canSend) return false;
    this.send(
      messages.map((message) => Publication.ofWaiting(this.stream, message)),
      '-',
      messages.length,
    );
    return true;
  }

  /** Redis is there: send what waits. */
  resume(): void {
    this.drain.resume();
  }

  /** Resolves once nothing is pending. */
  whenIdle(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    this.drain.close();
  }

  send(
    publications: Publication[],
    triedSince: string | null = null,
    tried = 0,
  ): void {
    for (const publication of publications) {
      const undelivered = publication.isDelivered ? null : publication;
      this.own.sent(publication.message.messageId, undelivered);
    }
    const order = this.#calls.begin(publications.length);
    // A first try that fails may be anywhere after what is known now.
    const since = triedSince ?? this.lastOffset ?? '-';
    const deadline = setTimeout(() => {
      for (const publication of publications) this.#queued(publication);
      this.drain.hang();
    }, this.options.publishTimeout);
    void this.transport
      .publish(
        publications.map(({ payload }) => payload),
        triedSince,
        tried,
      )
      .then((replies) => {
        clearTimeout(deadline);
        this.#answered(order, since, publications, replies);
      });
  }

  #flush(): void {
    const publications = this.#tick;
    this.#tick = [];
    if (!this.drain.canPass) {
      for (const publication of publications) this.#queued(publication);
      this.drain.keep(publications);
      return;
    }
    for (let from = 0; from < publications.length; from += CALL_LIMIT) {
      this.send(
        publications.length <= CALL_LIMIT
          ? publications
          : publications.slice(from, from + CALL_LIMIT),
      );
    }
  }

  #answered(
    order: number,
    since: string,
    publications: readonly Publication[],
    replies: readonly PublishReply[],
  ): void {
    const now = wallClock();
    let failure: { cause: Error; refused: boolean } | null = null;
    const sent: string[] | null = this.rows.used ? [] : null;
    const unsent: Unsent[] = [];
    for (const [index, publication] of publications.entries()) {
      const { message, at } = publication;
      const reply = replies[index] ?? new Error('Redis gave no answer.');
      if (reply instanceof Error) {
        const searched = searchedUpTo(reply);
        failure = { cause: reply, refused: searched !== undefined };
        unsent.push({ message, triedSince: searched ?? since });
        this.#queued(publication);
      } else {
        this.meter.published(Math.max(0, now - at), message, reply);
        this.#calls.took(reply);
        sent?.push(message.messageId);
        this.#answer(publication, 'delivered', reply);
      }
    }
    this.#calls.end(order, publications.length);
    if (sent !== null) this.rows.sent(sent);
    if (failure !== null) this.drain.fail(order, unsent, failure);
    if (this.inFlight > 0) return;
    this.drain.settle();
    if (this.pending === 0) this.#becameIdle();
  }

  /** Delivers a message locally that Redis has not taken yet. */
  #queued(publication: Publication): void {
    if (this.#answer(publication, 'queued', null)) this.meter.queued();
  }

  #answer(
    publication: Publication,
    status: PublishReceipt['status'],
    published: Published | null,
  ): boolean {
    this.own.delivered(publication.message.messageId);
    return publication.answer(status, published);
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
