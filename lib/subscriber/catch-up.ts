import { describeCause, InvalidationRedisError } from '../errors/index.js';
import type { UnverifiedReason } from '../signing/index.js';
import type { ErrorReporter, PublishProgress } from '../stream/index.js';
import {
  JournalPager,
  type InvalidationTransport,
  type JournalEntry,
} from '../transport/index.js';
import type { AcknowledgedMessages } from './acknowledged-messages.js';
import { decodeEntries, JournalReader } from './journal-reader.js';
import type { MessageReceiver } from './message-receiver.js';
import { isTimeout } from './redis-answers.js';

/** @internal */
export interface CatchUpOptions {
  /** How long Redis may take to answer, in milliseconds. */
  readonly heartbeatTimeout: number;
  readonly maxMessageBytes: number;
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
  /** An entry of the journal could not be verified. */
  onUnverified(reason: UnverifiedReason): void;
  /** The position has moved. */
  onMoved(): void;
  /** Redis has lost own messages that it had taken. */
  onLostOwn(): void;
}

/**
 * Reads the journal for the delivery cursor: after every subscription, when a
 * message does not follow, and when a heartbeat finds that one is missing.
 *
 * @internal
 */
export class CatchUp {
  /** One more with each subscription: a reading for an earlier one is ignored. */
  #session = 0;
  #running = false;
  /** Until the first message is delivered, none can be missing. */
  #first = true;
  /** How many messages had been replayed before this catch-up, for the log line. */
  #replayedBefore = 0;
  readonly #journal: JournalReader;

  constructor(
    private readonly options: CatchUpOptions,
    private readonly transport: InvalidationTransport,
    private readonly receiver: MessageReceiver,
    private readonly acknowledged: AcknowledgedMessages,
    private readonly progress: PublishProgress,
    private readonly errors: ErrorReporter,
    private readonly listener: CatchUpListener,
  ) {
    this.#journal = new JournalReader(transport, options.heartbeatTimeout);
  }

  /** The subscription stands, at first or again. */
  subscribed(): void {
    this.#abandon();
    this.run();
  }

  lost(): void {
    this.acknowledged.doubt();
    this.#abandon();
    this.#first = false;
    this.receiver.cursor.lost();
  }

  /** The application serves: from now on something could be missing. */
  served(): void {
    if (!this.#first) return;
    this.#first = false;
    this.receiver.startedLate();
  }

  /** Redis takes commands; earlier ones may never be answered. */
  writable(): void {
    this.acknowledged.doubt();
    const interrupted = this.#running;
    this.#abandon();
    if (interrupted) this.run();
  }

  /** Reads what may have been missed, unless that is being done already. */
  run(): void {
    this.receiver.cursor.doubt();
    if (this.#running) return;
    this.#running = true;
    this.listener.onBegin();
    void this.#run(this.#session);
  }

  /** Confirms own messages at a heartbeat, which found the position in the journal. */
  async confirmOwn(acked: string | null): Promise<void> {
    if (this.#running) return;
    try {
      await this.#confirm(acked, this.receiver.position);
    } catch {
      // The next heartbeat confirms them.
    }
  }

  async #run(session: number): Promise<void> {
    const isCurrent = (): boolean => session === this.#session;
    let asOf: number | null = null;
    let reason: string | null = null;
    try {
      await this.#journal.writable();
      // Something else may have been missed in the meantime.
      do asOf = await this.#readAll(isCurrent);
      while (isCurrent() && this.receiver.cursor.catchingUp);
    } catch (error) {
      if (!isCurrent()) return;
      // The connection broke: wait for the next one, but not for ever.
      if (!isTimeout(error) && !this.transport.writable) {
        return this.#run(session);
      }
      asOf = null;
      reason = this.#failed(error as Error);
    }
    if (!isCurrent()) return;
    this.#running = false;
    this.#logReplayed();
    this.listener.onEnd(asOf, reason);
    this.listener.onMoved();
  }

  /** @returns as of when this instance has delivered everything */
  async #readAll(isCurrent: () => boolean): Promise<number | null> {
    const { cursor, horizon } = this.receiver;
    const acked = this.progress.lastOffset;
    let asOf: number | null = null;
    let began: string | null = null;
    const pager = new JournalPager((from, count) =>
      this.#journal.read(from, count),
    );
    do {
      asOf = performance.now();
      const from = cursor.position;
      if (from === null) {
        await this.#start(isCurrent);
        if (!isCurrent()) return null;
        continue;
      }
      cursor.beginReading();
      const { entries, complete } = await pager.page(from);
      if (!isCurrent()) return null;
      horizon.sawEntry(entries.at(-1)?.offset);
      if (cursor.position !== from) continue;
      if (this.#replay(entries, complete)) {
        began ??= from;
        continue;
      }
      this.acknowledged.journalBroke();
      const tail = await this.#journal.tail();
      if (!isCurrent()) return null;
      horizon.sawTail(tail);
      cursor.restart(tail);
    } while (cursor.catchingUp || cursor.position === null);
    await this.#confirm(acked, began);
    return asOf;
  }

  async #confirm(acked: string | null, began: string | null): Promise<void> {
    if (await this.acknowledged.confirm(acked, began))
      this.listener.onLostOwn();
  }

  /** Begins at the journal's end. */
  async #start(isCurrent: () => boolean): Promise<void> {
    const { cursor, horizon } = this.receiver;
    const tail = await this.#journal.tail();
    if (!isCurrent()) return;
    horizon.sawTail(tail);
    if (this.#first) {
      // After the answer, all up to that end has been handed over and delivered.
      await this.#journal.ping();
      if (!isCurrent()) return;
      cursor.begin(tail);
    } else {
      this.acknowledged.journalBroke();
      cursor.restart(tail);
    }
    this.#first = false;
  }

  /** @returns whether the entries are messages of the chain */
  #replay(entries: readonly JournalEntry[], complete: boolean): boolean {
    const messages = decodeEntries(entries, this.options.maxMessageBytes);
    const readable = messages.length === entries.length;
    const reason = entries[messages.length]?.unverified;
    if (reason !== undefined) this.listener.onUnverified(reason);
    const linked = this.receiver.cursor.replay(messages, complete && readable);
    this.listener.onMoved();
    return linked && readable;
  }

  /** Delivers the messages that are held, and "everything" for the unknown ones. */
  #failed(error: Error): string {
    if (!this.#first) this.receiver.cursor.restart(null);
    if (isTimeout(error)) this.transport.reconnect('commands');
    const reason = `the journal could not be read: ${describeCause(error)}`;
    this.errors.report(
      isTimeout(error)
        ? error
        : new InvalidationRedisError(
            `The journal could not be read: ${describeCause(error)}.`,
            'Everything was evicted, since messages may have been missed.',
            error,
          ),
    );
    return reason;
  }

  #logReplayed(): void {
    const { replayed } = this.receiver;
    const count = replayed - this.#replayedBefore;
    this.#replayedBefore = replayed;
    if (count === 0) return;
    this.errors.log(
      'log',
      `${count} missed ${count === 1 ? 'message was' : 'messages were'} replayed from the journal.`,
      'replayed',
    );
  }

  /** Ends a reading whose result is of no use any more. */
  #abandon(): void {
    this.#session++;
    this.#running = false;
    this.#journal.cancel();
    this.acknowledged.cancel();
  }
}
