import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  buildPattern,
  encodeOrigin,
  Instance,
  isOffset,
  isSameMessage,
  isSignedWith,
  parseTimestamp,
  readOwnId,
  readOwnPlace,
  sizeOf,
  wallClock,
  type EntityType,
  type InvalidationMessage,
  type WidenedCause,
} from '../message/index.js';
import {
  DeliveryCursor,
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
  OffsetHorizon,
  OwnMessages,
  type CursorSink,
} from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { AcknowledgedMessages } from './acknowledged-messages.js';
import type { JournaledMessage } from './journal-reader.js';
import type { ReceiverListener } from './receiver-listener.js';
import { PayloadDecoder } from './payload-decoder.js';

/** Messages that wait for the journal to be read; beyond it, "everything". */
const HELD_LIMIT = 10_000;
/** Replayed offsets that are remembered, to recognise duplicates. */
const REMEMBERED_LIMIT = 10_000;

/**
 * Takes payloads from the channel to the stream. It owns the delivery cursor, and
 * alone decides which messages are this instance's own.
 *
 * @internal
 */
@Injectable()
export class MessageReceiver implements CursorSink<JournaledMessage> {
  readonly cursor: DeliveryCursor<JournaledMessage>;
  /** How far the journal can have come, by clocks and by its known end. */
  readonly horizon = new OffsetHorizon();
  /** The end of every payload of this instance. */
  readonly #signature: string;
  readonly #decoder: PayloadDecoder;
  #listener: ReceiverListener | null = null;
  #arrived = 0;
  #replayed = 0;
  /** Cause of the next widened message. */
  #cause: WidenedCause = 'missed';

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    options: {
      readonly maxMessageBytes: number;
      readonly queueByteLimit: number;
    },
    private readonly instance: Instance,
    private readonly transport: InvalidationTransport,
    private readonly own: OwnMessages,
    private readonly acknowledged: AcknowledgedMessages,
    private readonly stream: InvalidationStream,
    private readonly meter: InvalidationMeter,
    errors: ErrorReporter,
  ) {
    this.#signature = encodeOrigin(instance.origin);
    this.#decoder = new PayloadDecoder(
      options.maxMessageBytes,
      meter,
      errors,
      () => this.deliverEverything('not-understood'),
    );
    this.cursor = new DeliveryCursor<JournaledMessage>(
      this,
      {
        held: { messages: HELD_LIMIT, bytes: options.queueByteLimit },
        remembered: REMEMBERED_LIMIT,
        horizon: this.horizon,
      },
      sizeOf,
      isSameMessage,
    );
  }

  /** Payloads of any kind so far. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Messages of other instances that came from the journal so far. */
  get replayed(): number {
    return this.#replayed;
  }

  /** Up to where everything has been delivered; `null` if that is not known. */
  get position(): string | null {
    return this.cursor.position;
  }

  listen(listener: ReceiverListener): void {
    this.#listener = listener;
  }

  /** A payload came over the channel. */
  receive(payload: string): void {
    this.#arrived++;
    const ownId = this.#ownId(payload);
    if (ownId !== null) return this.#receiveOwn(payload, ownId);
    const message = this.#decoder.decode(payload);
    if (message === null) return;
    const now = performance.now();
    this.meter.received();
    this.meter.propagated(wallClock(now) - parseTimestamp(message.timestamp));
    const isNext = this.#isNext(message);
    if (isNext) this.stream.deliver(message, now);
    else this.#hold(message as JournaledMessage);
    this.#listener?.onMoved(isNext);
  }

  /** Delivers "everything" in the place of messages that cannot be delivered exactly. */
  deliverEverything(cause: WidenedCause): void {
    this.stream.deliver(this.instance.widened(cause));
    this.#listener?.onWidened();
  }

  /** Delivers that all entities of a type may have changed. */
  deliverAllOf(type: EntityType, cause: WidenedCause): void {
    this.stream.deliver(this.instance.widened(cause, buildPattern(type)));
  }

  /** The application serves requests: what it misses from now on has this cause. */
  startedLate(): void {
    this.#cause = 'started-late';
  }

  /** Delivers for the cursor: a replayed message, or one that was held. @internal */
  deliver(message: JournaledMessage, replayed: boolean): void {
    if (this.own.received(message.messageId)) {
      // At another offset it may be of a journal that is gone.
      if (message.offset === this.position) {
        this.acknowledged.echoed(message.offset);
      }
    } else {
      if (replayed) {
        this.meter.replayed();
        this.#replayed++;
      }
      this.stream.deliver(message);
    }
    this.#listener?.onMoved(false);
  }

  /** Widens for the cursor. @internal */
  widen(): void {
    this.deliverEverything(this.#cause);
    this.#cause = 'missed';
  }

  /** Whether a message is to be delivered now: next in the journal, or in none. */
  #isNext(message: InvalidationMessage): boolean {
    const { offset, previous } = message;
    // Other publishers may mean something else by the word.
    if (!isOffset(offset)) {
      this.#listener?.onForeign();
      return true;
    }
    if (!this.transport.journaled) return true;
    return this.cursor.advance(previous, offset, message as JournaledMessage);
  }

  #hold(message: JournaledMessage): void {
    this.cursor.receive(message);
    if (this.cursor.catchingUp) this.#listener?.onGap();
  }

  /** An echo moves the position; the consumers have the message already. */
  #receiveOwn(payload: string, messageId: string): void {
    const place = readOwnPlace(payload);
    if (place === null || !isOffset(place.offset)) {
      this.own.received(messageId);
      return;
    }
    const { offset, previous } = place;
    if (!this.cursor.advance(previous, offset, null)) {
      const message = this.#decoder.decode(payload);
      if (message !== null) this.#hold(message as JournaledMessage);
      return;
    }
    this.acknowledged.echoed(offset);
    this.own.received(messageId);
    this.#listener?.onMoved(true);
  }

  /**
   * The id of an own message; `null` for any other. Anybody can read this instance's
   * origin and sign with it: the id must be under way, too.
   */
  #ownId(payload: string): string | null {
    if (!isSignedWith(payload, this.#signature)) return null;
    const messageId = readOwnId(payload);
    return this.own.isUnderWay(messageId) ? messageId : null;
  }
}
