import {
  InvalidationRedisError,
  InvalidationTimeoutError,
  describeCause,
} from '../errors/index.js';
import {
  compareOffsets,
  decodeMessage,
  everything,
  JOURNAL_START,
  type Instance,
  type InvalidationMessage,
  type WidenedCause,
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
import { Deadlines } from './deadlines.js';

/** Entries in one reading: at most, and at first, while their size is unknown. */
const PAGE = 1_000;
const FIRST_PAGE = 16;
/** What one reading should hold, in characters. */
const PAGE_SIZE = 1_048_576;

/** Messages that wait for the journal to be read; beyond it, "everything". */
const HELD_LIMIT = 10_000;
const REPLAYED_LIMIT = 10_000;

/** Own messages to look for in the journal; beyond it, "everything". */
const DOUBTFUL_LIMIT = 100;

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
  /** Of the next widened message. */
  #cause: WidenedCause = 'missed';
  /** The journal has lost something, or may have. */
  #broken = false;
  /** The last own message that came back over the channel, or was replayed. */
  #echo: string | null = null;
  /** Acknowledged before a connection was lost: by another server, perhaps. */
  readonly #acked = new Set<string>();
  readonly #deadlines: Deadlines;

  constructor(
    timeout: number,
    private readonly context: CatchUpContext,
    private readonly listener: CatchUpListener,
  ) {
    this.#deadlines = new Deadlines(timeout);
    this.cursor = new DeliveryCursor(
      {
        deliver: (message, replayed) => this.#deliver(message, replayed),
        widen: () => {
          context.stream.deliver(context.instance.widened(this.#cause));
          this.#cause = 'missed';
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
    this.#abandon();
    this.run();
  }

  lost(): void {
    this.#doubtAcked();
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
    this.#doubtAcked();
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
    this.listener.onEnd(asOf, reason);
    this.listener.onPosition();
  }

  /** @returns as of when this instance has heard everything */
  async #readAll(isCurrent: () => boolean): Promise<number | null> {
    const acked = this.context.publisher.lastOffset;
    let asOf: number | null = null;
    let count = FIRST_PAGE;
    do {
      asOf = performance.now();
      const from = this.cursor.position;
      if (from === null) {
        await this.#start(isCurrent);
        if (!isCurrent()) return null;
        continue;
      }
      this.cursor.read();
      const entries = await this.#read(from, count);
      if (!isCurrent()) return null;
      if (this.cursor.position !== from) continue;
      const complete = entries.length < count;
      count = nextCount(entries);
      if (this.#replay(entries, complete)) continue;
      this.#broken = true;
      const tail = await this.#tail();
      if (!isCurrent()) return null;
      this.cursor.restart(tail);
    } while (this.cursor.catchingUp || this.cursor.position === null);
    await this.#confirm(acked);
    return asOf;
  }

  /** From where the journal ends. */
  async #start(isCurrent: () => boolean): Promise<void> {
    const tail = await this.#tail();
    if (!isCurrent()) return;
    if (this.#first) {
      // Then all up to that end has been handed over, and delivered as it came.
      await this.#deadlines.within('a PING', this.context.transport.ping());
      if (!isCurrent()) return;
      this.cursor.begin(tail);
    } else {
      this.#broken = true;
      this.cursor.restart(tail);
    }
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

  /**
   * Whether the journal still has the last own message that Redis took. If it
   * lost its end, in a failover or a restart, others may have missed what nobody
   * can replay to them.
   *
   * @param acked its offset, as of before the journal was read
   */
  async #confirm(acked: string | null): Promise<void> {
    if (acked === null) return;
    const doubtful = this.#doubtful(acked);
    if (doubtful.size === 0) return;
    let lost = doubtful.size > DOUBTFUL_LIMIT;
    for (const offset of doubtful) lost ||= !(await this.#has(offset));
    this.#broken = false;
    this.#acked.clear();
    this.#echo = acked;
    if (!lost) return;
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

  /** A later one says nothing of an earlier one, if the server is another. */
  #doubtful(acked: string): Set<string> {
    const doubtful = new Set(this.#acked);
    if (this.#broken && this.#echo !== null) doubtful.add(this.#echo);
    const heard = this.#echo !== null && compareOffsets(acked, this.#echo) <= 0;
    if (!heard || this.#broken) doubtful.add(acked);
    return doubtful;
  }

  /** Also if it was only trimmed away. */
  async #has(offset: string): Promise<boolean> {
    const [there] = await this.#read(offset, 1);
    if (there?.offset === offset) return true;
    const [first] = await this.#read('-', 1);
    if (first === undefined || compareOffsets(first.offset, offset) < 0) {
      return false;
    }
    // A journal that begins anew has not been trimmed.
    return this.#decode(first)?.previous !== JOURNAL_START;
  }

  /** At a heartbeat: the same for what was published since. */
  async confirmOwn(acked: string | null): Promise<void> {
    if (this.#running) return;
    // It is asked again at the next one.
    await this.#confirm(acked).catch(() => undefined);
  }

  /** The next answer may come from a server that never had the last one. */
  #doubtAcked(): void {
    const { lastOffset } = this.context.publisher;
    if (lastOffset === null || this.#acked.size > DOUBTFUL_LIMIT) return;
    this.#acked.add(lastOffset);
  }

  /** What is being read is of no use any more. */
  #abandon(): void {
    this.#session++;
    this.#running = false;
    this.#deadlines.cancel();
  }

  #read(from: string, count: number): Promise<JournalEntry[]> {
    return this.#deadlines.within(
      'a reading of the journal',
      this.context.transport.readJournal(from, count),
    );
  }

  #tail(): Promise<string> {
    return this.#deadlines.within(
      'a reading of the journal',
      this.context.transport.journalTail(),
    );
  }

  /** Rejects if it takes too long; `writable()` begins anew. */
  async #whenWritable(): Promise<void> {
    if (this.context.transport.writable) return;
    await this.#deadlines.within('a connection', new Promise(() => undefined));
  }
}

/** As many as fit, going by the size of those before. */
function nextCount(entries: readonly JournalEntry[]): number {
  const size = entries.reduce((sum, { payload }) => sum + payload.length, 0);
  const fit = Math.floor((PAGE_SIZE * entries.length) / Math.max(1, size));
  return Math.max(2, Math.min(PAGE, fit));
}

function isTimeout(error: unknown): error is InvalidationTimeoutError {
  return error instanceof InvalidationTimeoutError;
}
