import {
  InvalidationRedisError,
  InvalidationTimeoutError,
  describeCause,
} from '../errors/index.js';
import {
  compareOffsets,
  decodeMessage,
  everything,
  type Instance,
  type InvalidationMessage,
} from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import {
  DeliveryCursor,
  type ErrorReporter,
  type InvalidationMeter,
  type InvalidationStream,
  type Journaled,
} from '../stream/index.js';
import type {
  InvalidationTransport,
  JournalEntry,
} from '../transport/index.js';
import { within } from './within.js';

/** Entries in one reading: at most, and at first, while their size is unknown. */
const PAGE = 1_000;
const FIRST_PAGE = 100;
/** What one reading should hold, in characters. */
const PAGE_SIZE = 1_048_576;

/** Messages that wait for the journal to be read; beyond it, "everything". */
const HELD_LIMIT = 10_000;
const REPLAYED_LIMIT = 10_000;

/** @internal */
export type JournaledMessage = InvalidationMessage & Journaled;

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
  /** One more with each subscription; what was read for another is ignored. */
  #session = 0;
  #running = false;
  /** Nothing has been delivered yet that something could be missing from. */
  #first = true;
  #writable: (() => void)[] = [];
  /** The last own message that came back over the channel, or was replayed. */
  #echo: string | null = null;

  constructor(
    private readonly timeout: number,
    private readonly context: CatchUpContext,
    private readonly listener: CatchUpListener,
  ) {
    this.cursor = new DeliveryCursor(
      {
        deliver: (message, replayed) => this.#deliver(message, replayed),
        widen: () => {
          context.stream.deliver(context.instance.widened('missed'));
          listener.onWidened();
        },
      },
      { held: HELD_LIMIT, replayed: REPLAYED_LIMIT },
    );
  }

  /** An own message was heard at this offset. */
  echoed(offset: string): void {
    this.#echo = offset;
  }

  /** A message that is not simply the next one. */
  hear(message: JournaledMessage): void {
    this.cursor.hear(message);
    if (this.cursor.catchingUp) this.run();
  }

  /** The subscription stands, at first or again. */
  subscribed(): void {
    this.#session++;
    this.#running = false;
    this.run();
  }

  lost(): void {
    this.#session++;
    this.#running = false;
    this.#first = false;
    this.cursor.lost();
  }

  /** Redis takes commands. */
  writable(): void {
    const waiting = this.#writable;
    this.#writable = [];
    for (const go of waiting) go();
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
    const acked = this.context.publisher.lastOffset;
    let asOf: number | null = null;
    let reason: string | null = null;
    let broken = false;
    try {
      await this.#whenWritable();
      let count = FIRST_PAGE;
      do {
        asOf = performance.now();
        const from = this.cursor.position;
        if (from === null) {
          const tail = await this.#tail();
          if (!isCurrent()) return;
          this.#startAt(tail);
          continue;
        }
        this.cursor.read();
        const entries = await this.#read(from, count);
        if (!isCurrent()) return;
        if (this.cursor.position !== from) continue;
        const complete = entries.length < count;
        count = nextCount(entries);
        if (this.#replay(entries, complete)) continue;
        broken = true;
        const tail = await this.#tail();
        if (!isCurrent()) return;
        this.cursor.restart(tail);
      } while (this.cursor.catchingUp || this.cursor.position === null);
      await this.#confirm(acked, broken);
    } catch (error) {
      if (!isCurrent()) return;
      asOf = null;
      reason = this.#failed(error as Error);
    }
    if (!isCurrent()) return;
    this.#running = false;
    this.listener.onEnd(asOf, reason);
    this.listener.onPosition();
  }

  #startAt(tail: string): void {
    if (this.#first) this.cursor.begin(tail);
    else this.cursor.restart(tail);
    this.#first = false;
  }

  #replay(entries: readonly JournalEntry[], complete: boolean): boolean {
    const messages: JournaledMessage[] = [];
    let readable = true;
    for (const entry of entries) {
      const message = this.#decode(entry);
      readable = message !== null;
      if (message === null) break;
      messages.push(message);
    }
    const linked = this.cursor.replay(messages, complete && readable);
    this.listener.onPosition();
    return linked && readable;
  }

  /** `null` for what was not written by the publish script. */
  #decode({ offset, payload }: JournalEntry): JournaledMessage | null {
    try {
      const message = decodeMessage(payload, Infinity);
      return message.offset === offset ? (message as JournaledMessage) : null;
    } catch {
      return null;
    }
  }

  #deliver(message: JournaledMessage, replayed: boolean): void {
    const { instance, publisher, meter, stream } = this.context;
    if (message.origin === instance.origin) {
      this.#echo = message.offset;
      publisher.heard(message.messageId);
      return;
    }
    if (replayed) meter.replayed();
    stream.deliver(message);
  }

  /** What came meanwhile is delivered, and "everything" for what is unknown. */
  #failed(error: Error): string {
    if (!this.#first) this.cursor.restart(null);
    if (error instanceof InvalidationTimeoutError) {
      this.context.transport.reconnect('commands');
    }
    const reason = `the journal could not be read: ${describeCause(error)}`;
    this.context.errors.report(
      error instanceof InvalidationTimeoutError
        ? error
        : new InvalidationRedisError(
            `The journal could not be read: ${describeCause(error)}.`,
            'Everything was evicted in place of what may have been missed.',
            error,
          ),
    );
    return reason;
  }

  /**
   * Whether the journal still has the last own message that Redis took. If it
   * lost its end, in a failover or a restart, others may have missed what nobody
   * can replay to them.
   *
   * @param acked its offset, as of before the journal was read
   * @param broken whether the journal is known to have lost something
   */
  async #confirm(acked: string | null, broken: boolean): Promise<void> {
    if (acked === null) return;
    const heard = this.#echo !== null && compareOffsets(acked, this.#echo) <= 0;
    if (heard && !broken) return;
    const [there] = await this.#read(acked, 1);
    this.#echo = acked;
    if (there?.offset === acked) return;
    const [first] = await this.#read('-', 1);
    // Only trimmed away, or all of it is gone, which everybody notices.
    if (first === undefined || compareOffsets(first.offset, acked) > 0) return;
    this.context.errors.report(
      new InvalidationRedisError(
        'Redis has lost invalidations that it had taken, in a failover or a restart.',
        'Every instance is told to evict everything in their place.',
      ),
    );
    this.context.publisher
      .publishChecked(everything())
      // Only when it shuts down: then its siblings are left to say so.
      .catch(() => undefined);
  }

  /** At a heartbeat: the same for what was published since. */
  async confirmOwn(acked: string | null): Promise<void> {
    await this.#confirm(acked, false);
  }

  #read(from: string, count: number): Promise<JournalEntry[]> {
    return within(
      this.timeout,
      'a reading of the journal',
      this.context.transport.readJournal(from, count),
    );
  }

  #tail(): Promise<string> {
    return within(
      this.timeout,
      'a reading of the journal',
      this.context.transport.journalTail(),
    );
  }

  async #whenWritable(): Promise<void> {
    if (this.context.transport.writable) return;
    await within(
      this.timeout,
      'a connection',
      new Promise<void>((resolve) => this.#writable.push(resolve)),
    );
  }
}

/** As many as fit, going by the size of those before. */
function nextCount(entries: readonly JournalEntry[]): number {
  const size = entries.reduce((sum, { payload }) => sum + payload.length, 0);
  const fit = Math.floor((PAGE_SIZE * entries.length) / Math.max(1, size));
  return Math.max(2, Math.min(PAGE, fit));
}
