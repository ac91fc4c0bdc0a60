import {
  InvalidationRedisError,
  InvalidationTimeoutError,
  describeCause,
} from '../errors/index.js';
import {
  compareOffsets,
  isSameMessage,
  JOURNAL_START,
  millisecondsOf,
  sizeOf,
  type Instance,
  type WidenedCause,
} from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import {
  DeliveryCursor,
  type ErrorReporter,
  type InvalidationMeter,
  type InvalidationStream,
  OffsetHorizon,
} from '../stream/index.js';
import type {
  InvalidationTransport,
  JournalEntry,
} from '../transport/index.js';
import { AcknowledgedMessages } from './acknowledged.messages.js';
import { ConfirmedOffset } from './confirmed.offset.js';
import { Deadlines } from './deadlines.js';
import {
  decodeEntry,
  FIRST_PAGE,
  JournalReader,
  nextCount,
  type JournaledMessage,
} from './journal.reader.js';

/** Messages that wait for the journal to be read; beyond it, "everything". */
const HELD_LIMIT = 10_000;
const REPLAYED_LIMIT = 10_000;

/** @internal */
export interface CatchUpContext {
  readonly instance: Instance;
  readonly transport: InvalidationTransport;
  readonly publisher: InvalidationPublisher;
  readonly stream: InvalidationStream;
  readonly meter: InvalidationMeter;
  readonly errors: ErrorReporter;
}

/** @internal */
export interface CatchUpOptions {
  /** How long Redis may take to answer, in milliseconds. */
  readonly heartbeatTimeout: number;
  readonly maxMessageBytes: number;
  /** Messages that are held while the journal is read. */
  readonly queueByteLimit: number;
}

/** @internal */
export interface CatchUpListener {
  /** Something may have been missed. */
  onBegin(): void;
  /**
   * Everything has been delivered, exactly or widened.
   *
   * @param asOf what `performance.now()` said when that was known to be all;
   * `null` if it could not be read
   */
  onEnd(asOf: number | null, reason: string | null): void;
  /** The position has moved. */
  onPosition(): void;
  /** "Everything" was delivered. */
  onWidened(): void;
}

/**
 * Reads the journal for the delivery cursor: after every subscription, when
 * something is missing, and when a heartbeat finds that something is.
 *
 * @internal
 */
export class CatchUp {
  readonly cursor: DeliveryCursor<JournaledMessage>;
  /** How far the journal can have come, by clocks and by its known end. */
  readonly horizon = new OffsetHorizon();
  /** One more with each subscription; what was read for another is ignored. */
  #session = 0;
  #running = false;
  /** Nothing has been delivered yet that something could be missing from. */
  #first = true;
  /** Cause of the next widened message. */
  #cause: WidenedCause = 'missed';
  /** By what is being read now. */
  #replayed = 0;
  readonly #deadlines: Deadlines;
  readonly #journal: JournalReader;
  readonly #confirmed: ConfirmedOffset;
  readonly #acknowledged: AcknowledgedMessages;

  constructor(
    private readonly options: CatchUpOptions,
    private readonly context: CatchUpContext,
    private readonly listener: CatchUpListener,
  ) {
    this.#deadlines = new Deadlines(options.heartbeatTimeout);
    this.#journal = new JournalReader(context.transport, this.#deadlines);
    this.#confirmed = new ConfirmedOffset(this.#journal);
    this.#acknowledged = new AcknowledgedMessages(this.#journal, context);
    this.cursor = new DeliveryCursor<JournaledMessage>(
      {
        deliver: (message, replayed) => this.#deliver(message, replayed),
        widen: () => {
          context.stream.deliver(context.instance.widened(this.#cause));
          this.#cause = 'missed';
          listener.onWidened();
        },
      },
      {
        held: { messages: HELD_LIMIT, bytes: options.queueByteLimit },
        replayed: REPLAYED_LIMIT,
        horizon: this.horizon,
      },
      sizeOf,
      isSameMessage,
    );
  }

  /** An own message was heard at this offset. */
  echoed(offset: string): void {
    this.#acknowledged.echoed(offset);
  }

  /** Whether the journal has an entry at this offset; `false` if it cannot be read. */
  isInJournal(offset: string): Promise<boolean> {
    if (offset === this.horizon.tail) return Promise.resolve(true);
    return this.#confirmed.has(offset);
  }

  /** From the position to the journal's end as it was last seen, in milliseconds. */
  get lag(): number {
    const { position } = this.cursor;
    // At the start of an empty journal there is nothing to measure from.
    if (position === null || position === JOURNAL_START) return 0;
    const { tail } = this.horizon;
    if (compareOffsets(tail, position) <= 0) return 0;
    return millisecondsOf(tail) - millisecondsOf(position);
  }

  /** A message that is not simply the next one. */
  hear(message: JournaledMessage): void {
    this.cursor.hear(message);
    if (this.cursor.catchingUp) this.run();
  }

  /** The subscription stands, at first or again. */
  subscribed(): void {
    this.#abandon();
    this.run();
  }

  lost(): void {
    this.#acknowledged.doubt();
    this.#abandon();
    this.#first = false;
    this.cursor.lost();
  }

  /** The application serves: from now on something could be missing. */
  served(): void {
    if (!this.#first) return;
    this.#first = false;
    this.#cause = 'started-late';
  }

  /** Redis takes commands; what was asked before may never be answered. */
  writable(): void {
    this.#acknowledged.doubt();
    const interrupted = this.#running;
    this.#abandon();
    if (interrupted) this.run();
  }

  /** Reads what may have been missed, unless that is being done already. */
  run(): void {
    this.cursor.doubt();
    if (this.#running) return;
    this.#running = true;
    this.listener.onBegin();
    void this.#run(this.#session);
  }

  async #run(session: number): Promise<void> {
    const isCurrent = (): boolean => session === this.#session;
    let asOf: number | null = null;
    let reason: string | null = null;
    try {
      await this.#whenWritable();
      // Meanwhile something else may have been missed.
      do asOf = await this.#readAll(isCurrent);
      while (isCurrent() && this.cursor.catchingUp);
    } catch (error) {
      if (!isCurrent()) return;
      // It broke amid the reading: that waits for the next one, but not for ever.
      if (!isTimeout(error) && !this.context.transport.writable) {
        return this.#run(session);
      }
      asOf = null;
      reason = this.#failed(error as Error);
    }
    if (!isCurrent()) return;
    this.#running = false;
    this.#sayReplayed();
    this.listener.onEnd(asOf, reason);
    this.listener.onPosition();
  }

  /** @returns as of when this instance has heard everything */
  async #readAll(isCurrent: () => boolean): Promise<number | null> {
    const acked = this.context.publisher.lastOffset;
    let asOf: number | null = null;
    let began: string | null = null;
    let count = FIRST_PAGE;
    do {
      asOf = performance.now();
      const from = this.cursor.position;
      if (from === null) {
        await this.#start(isCurrent);
        if (!isCurrent()) return null;
        continue;
      }
      this.cursor.beginReading();
      const entries = await this.#journal.read(from, count);
      if (!isCurrent()) return null;
      this.#sawEnd(entries.at(-1)?.offset);
      if (this.cursor.position !== from) continue;
      const complete = entries.length < count;
      count = nextCount(entries);
      if (this.#replay(entries, complete)) {
        began ??= from;
        continue;
      }
      this.#acknowledged.journalBroke();
      const tail = await this.#journal.tail();
      if (!isCurrent()) return null;
      this.horizon.sawTail(tail);
      this.cursor.restart(tail);
    } while (this.cursor.catchingUp || this.cursor.position === null);
    await this.#acknowledged.confirm(acked, began);
    return asOf;
  }

  #sayReplayed(): void {
    const count = this.#replayed;
    this.#replayed = 0;
    if (count === 0) return;
    this.context.errors.log(
      'log',
      `${count} ${count === 1 ? 'message that was' : 'messages that were'} missed came from the journal.`,
      'replayed',
    );
  }

  /** From where the journal ends. */
  async #start(isCurrent: () => boolean): Promise<void> {
    const tail = await this.#journal.tail();
    if (!isCurrent()) return;
    this.horizon.sawTail(tail);
    if (this.#first) {
      // Then all up to that end has been handed over, and delivered as it came.
      await this.#deadlines.within('a PING', this.context.transport.ping());
      if (!isCurrent()) return;
      this.cursor.begin(tail);
    } else {
      this.#acknowledged.journalBroke();
      this.cursor.restart(tail);
    }
    this.#first = false;
  }

  /** The last entry of a page: the journal goes at least so far. */
  #sawEnd(offset: string | undefined): void {
    if (offset === undefined) return;
    if (compareOffsets(offset, this.horizon.tail) > 0) {
      this.horizon.sawTail(offset);
    }
  }

  #replay(entries: readonly JournalEntry[], complete: boolean): boolean {
    const messages: JournaledMessage[] = [];
    let readable = true;
    for (const entry of entries) {
      const message = decodeEntry(entry, this.options.maxMessageBytes);
      readable = message !== null;
      if (message === null) break;
      messages.push(message);
    }
    const linked = this.cursor.replay(messages, complete && readable);
    this.listener.onPosition();
    return linked && readable;
  }

  #deliver(message: JournaledMessage, replayed: boolean): void {
    const { publisher, meter, stream } = this.context;
    if (publisher.heard(message.messageId)) {
      // Not of this chain otherwise: then it may be of a journal that is gone.
      const { position } = this.cursor;
      if (message.offset === position) this.#acknowledged.echoed(position);
    } else {
      if (replayed) {
        meter.replayed();
        this.#replayed++;
      }
      stream.deliver(message);
    }
    this.listener.onPosition();
  }

  /** Delivers the messages that came meanwhile, and "everything" for the unknown ones. */
  #failed(error: Error): string {
    if (!this.#first) this.cursor.restart(null);
    if (isTimeout(error)) {
      this.context.transport.reconnect('commands');
    }
    const reason = `the journal could not be read: ${describeCause(error)}`;
    this.context.errors.report(
      isTimeout(error)
        ? error
        : new InvalidationRedisError(
            `The journal could not be read: ${describeCause(error)}.`,
            'Everything was evicted in place of what may have been missed.',
            error,
          ),
    );
    return reason;
  }

  /** At a heartbeat, which found the position in the journal. */
  async confirmOwn(acked: string | null): Promise<void> {
    if (this.#running) return;
    // It is asked again at the next one.
    await this.#acknowledged
      .confirm(acked, this.cursor.position)
      .catch(() => undefined);
  }

  /** Ends a reading whose result is of no use any more. */
  #abandon(): void {
    this.#session++;
    this.#running = false;
    this.#deadlines.cancel();
  }

  /** Rejects if it takes too long; `writable()` begins anew. */
  async #whenWritable(): Promise<void> {
    if (this.context.transport.writable) return;
    await this.#deadlines.within('a connection', new Promise(() => undefined));
  }
}

function isTimeout(error: unknown): error is InvalidationTimeoutError {
  return error instanceof InvalidationTimeoutError;
}
