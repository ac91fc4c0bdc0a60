import { OversizedMessageError } from '../errors/index.js';
import {
  decodeMessage,
  isOffset,
  JOURNAL_START,
  type InvalidationMessage,
} from '../message/index.js';
import {
  OffsetHorizon,
  type CursorSink,
  type DeliveryCursor,
  type ErrorReporter,
} from '../stream/index.js';
import {
  Heartbeat,
  JournalReader,
  type JournaledMessage,
} from '../subscriber/index.js';
import type { InvalidationTransport } from '../transport/index.js';
import { cursorFor, JournalReplay } from './journal-replay.js';
import type { ReaderListener, ReaderOptions } from './reader-listener.js';

/**
 * Reads a source: its channel, and its journal where the channel may have lost
 * something. It begins at a given offset and hands on every later message, in order.
 * If the source cannot be read, it waits.
 *
 * @internal
 */
export class SourceReader implements CursorSink<JournaledMessage> {
  readonly horizon = new OffsetHorizon();
  #cursor: DeliveryCursor<JournaledMessage>;
  #arrived = 0;
  #subscribed = false;
  /** Whether messages are handed on; not while nobody knows where to begin. */
  #begun = false;
  #reading = false;
  /** Whether a message was passed over while the journal's end was not known. */
  #passed = false;
  /** One more with each beginning and each loss: an earlier reading is ignored. */
  #session = 0;
  readonly #journal: JournalReader;
  readonly #replay: JournalReplay;
  readonly #heartbeat: Heartbeat;

  constructor(
    private readonly options: ReaderOptions,
    private readonly transport: InvalidationTransport,
    private readonly listener: ReaderListener,
    errors: Pick<ErrorReporter, 'report'>,
  ) {
    this.#cursor = this.#newCursor();
    this.#journal = new JournalReader(transport, options.heartbeatTimeout);
    this.#replay = new JournalReplay(
      this.#journal,
      this.horizon,
      options.maxMessageBytes,
      () => listener.room(),
    );
    this.#heartbeat = new Heartbeat(
      options,
      transport,
      this,
      { lastOffset: null },
      errors,
      {
        isSubscribed: () => this.#subscribed && this.#begun,
        onCheck: () => undefined,
        onProof: async (asOf) => listener.onProof(asOf),
        onMissing: () => this.#read(),
        onBeat: () => undefined,
      },
    );
  }

  get cursor(): DeliveryCursor<JournaledMessage> {
    return this.#cursor;
  }

  get position(): string | null {
    return this.#cursor.position;
  }

  /** Payloads so far. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Connects, and stays connected until `stop()`. */
  start(): void {
    const { listener } = this;
    this.transport.start({
      onMessage: (payload) => this.#receive(payload),
      onUnverified: (reason, placed) => {
        const isForged = reason === 'bad-mac' || reason === 'bad-seal';
        if (!isForged || !placed) listener.onUnreadable();
      },
      onSubscribed: () => this.#resubscribed(),
      onLost: () => this.#lost(),
      onWritable: () => this.#heartbeat.writable(),
      onError: (cause) => listener.onError(cause),
    });
    this.#heartbeat.start();
  }

  /** Hands on what comes after an offset; `null` for what comes from now on. */
  begin(offset: string | null): void {
    this.pause();
    this.#begun = true;
    // A source that has lost its journal begins at its start again, too.
    const isKnown = offset !== null && offset !== JOURNAL_START;
    if (isKnown) this.#cursor.begin(offset);
    if (this.#subscribed) this.#begin();
  }

  /** Hands on nothing until the next beginning. */
  pause(): void {
    this.#begun = false;
    this.#abandon();
    this.#cursor = this.#newCursor();
  }

  async stop(): Promise<void> {
    this.pause();
    this.#heartbeat.stop();
    await this.transport.close();
  }

  /** Hands a message on for the cursor. @internal */
  deliver(message: JournaledMessage): void {
    // There was no room: the rest of the page is read again.
    if (!this.#begun) return;
    const isNext = message.offset === this.position;
    if (isNext) this.listener.onMessage(message);
    else this.listener.onStray(message);
  }

  /** Gives up what was missed, for the cursor. @internal */
  widen(): void {
    const { position } = this.#cursor;
    if (position === null) this.listener.onOverflow();
    else this.listener.onMissed(position);
  }

  #resubscribed(): void {
    this.#subscribed = true;
    if (this.#begun) this.#begin();
  }

  #begin(): void {
    this.listener.onSubscribed();
    this.#read();
  }

  #lost(): void {
    this.#subscribed = false;
    this.#abandon();
    this.#cursor.lost();
  }

  #receive(payload: string): void {
    this.#arrived++;
    let message: InvalidationMessage;
    try {
      message = decodeMessage(payload, this.options.maxMessageBytes);
    } catch (error) {
      // The source's own instances report it.
      if (error instanceof OversizedMessageError) this.listener.onUnreadable();
      return;
    }
    const isPlaced = isOffset(message.offset);
    // The journal has what has a place there.
    if (!this.#begun) return isPlaced ? undefined : this.listener.onIgnored();
    if (!isPlaced) return this.listener.onForeign(message);
    const next = message as JournaledMessage;
    if (this.#cursor.position === null) {
      this.#passed = true;
      return;
    }
    if (this.#cursor.advance(next.previous, next.offset, next)) {
      return this.listener.onMessage(next);
    }
    this.#cursor.receive(next);
    if (this.#cursor.catchingUp) this.#read();
  }

  /** Reads what may have been missed, unless that is being done already. */
  #read(): void {
    if (!this.#begun || !this.#subscribed) return;
    this.#cursor.doubt();
    if (this.#reading) return;
    this.#reading = true;
    void this.#readAll(this.#session);
  }

  async #readAll(session: number): Promise<void> {
    const isCurrent = (): boolean => session === this.#session;
    try {
      while (isCurrent() && this.#isBehind) await this.#readPages(isCurrent);
      if (isCurrent()) this.listener.onCaughtUp();
    } catch (error) {
      // A source that is cut off is read again on its return, or at a heartbeat.
      if (isCurrent() && this.transport.writable) {
        this.listener.onError(error as Error);
      }
    }
    if (isCurrent()) this.#reading = false;
  }

  get #isBehind(): boolean {
    return this.#cursor.catchingUp || this.#cursor.position === null;
  }

  async #readPages(isCurrent: () => boolean): Promise<void> {
    const { position } = this.#cursor;
    if (
      position === null ||
      !(await this.#replay.run(this.#cursor, position, isCurrent))
    ) {
      if (isCurrent()) await this.#restart(isCurrent);
    }
  }

  /** Begins at the journal's end; what was passed over meanwhile is read there. */
  async #restart(isCurrent: () => boolean): Promise<void> {
    this.#passed = false;
    const tail = await this.#journal.tail();
    if (!isCurrent()) return;
    this.horizon.sawTail(tail);
    this.#cursor.restart(tail);
    if (this.#passed) this.#cursor.doubt();
  }

  /** Ends a reading whose result is of no use any more. */
  #abandon(): void {
    this.#session++;
    this.#reading = false;
    this.#journal.cancel();
  }

  #newCursor(): DeliveryCursor<JournaledMessage> {
    return cursorFor(this, this.horizon, this.options.queueByteLimit);
  }
}
