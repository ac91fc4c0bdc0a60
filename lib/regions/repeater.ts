import { JOURNAL_START, type InvalidationMessage } from '../message/index.js';
import {
  decodeEntries,
  JournalReader,
  type HeartbeatOptions,
  type JournaledMessage,
} from '../subscriber/index.js';
import {
  JournalPager,
  type InvalidationTransport,
  type RelayPlace,
  type RelayRecord,
} from '../transport/index.js';
import type { RelayMessages } from './relay-messages.js';
import { NOWHERE } from './relay-outlet.js';

/** How often the journal is read, as a part of the delay, in milliseconds. */
const POLLS = { part: 10, least: 10, most: 1_000 };
/** Messages that wait for their time; the journal keeps the others. */
const WAITING_LIMIT = 10_000;
/** Messages and characters that one call carries. */
const BATCH = { messages: 500, size: 262_144 };

/** @internal */
export interface RepeaterOptions extends Pick<
  HeartbeatOptions,
  'heartbeatTimeout'
> {
  /** Milliseconds after which a message is repeated. */
  readonly delay: number;
  readonly maxMessageBytes: number;
  /** Characters that may wait. */
  readonly queueByteLimit: number;
}

interface Waiting {
  readonly offset: string;
  /** The repetition; `null` for an entry that is not repeated. */
  readonly payload: string | null;
  readonly dueAt: number;
}

/**
 * Repeats relayed messages once, some time after they were published here: by then this
 * region's replica of the database has their rows. It walks the region's own journal,
 * and keeps its place in a record of its own, so that no killed process loses one.
 *
 * @internal
 */
export class Repeater {
  #timer: NodeJS.Timeout | null = null;
  #running = false;
  /** The place of the record; `undefined` until it was read. */
  #from: RelayPlace | undefined;
  /** Offset of the last entry that was read. */
  #readTo: string | null = null;
  #waiting: Waiting[] = [];
  /** Characters of what waits. */
  #size = 0;
  readonly #journal: JournalReader;
  readonly #pager: JournalPager;

  constructor(
    private readonly options: RepeaterOptions,
    transport: InvalidationTransport,
    private readonly record: RelayRecord,
    private readonly messages: RelayMessages,
    private readonly onError: (error: Error) => void,
  ) {
    // A client may never settle a reading whose connection broke.
    this.#journal = new JournalReader(transport, options.heartbeatTimeout);
    this.#pager = new JournalPager((from, count) =>
      this.#journal.read(from, count),
    );
  }

  start(): void {
    const { part, least, most } = POLLS;
    const period = Math.min(most, Math.max(least, this.options.delay / part));
    this.#timer = setInterval(() => void this.#poll(), period).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#journal.cancel();
    this.#forget();
  }

  async #poll(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      await this.#read();
      await this.#repeat();
    } catch (error) {
      this.#forget();
      if (this.#timer !== null) this.onError(error as Error);
    } finally {
      this.#running = false;
    }
  }

  /** Begins again where the record is, at the next poll. */
  #forget(): void {
    this.#from = undefined;
    this.#waiting = [];
    this.#size = 0;
  }

  async #read(): Promise<void> {
    if (this.#from === undefined) {
      this.#from = (await this.record.read()).place;
      this.#readTo = this.#from.offset;
    }
    if (this.#readTo === null) return this.#beginAtEnd();
    let isMore = true;
    while (isMore && this.#hasRoom) isMore = await this.#readPage(this.#readTo);
  }

  /** @returns whether there are more entries */
  async #readPage(from: string): Promise<boolean> {
    const { entries, complete } = await this.#pager.page(from);
    if (this.#timer === null) return false;
    const messages = decodeEntries(entries, this.options.maxMessageBytes);
    const isStart = from === JOURNAL_START;
    const isWhole = isStart
      ? entries.length === 0 || messages[0]?.previous === JOURNAL_START
      : entries[0]?.offset === from;
    // Entries that were trimmed before their repetition are not known any more.
    if (!isWhole || messages.length < entries.length) {
      await this.#beginAtEnd();
      return false;
    }
    for (const message of messages.slice(isStart ? 0 : 1)) this.#add(message);
    return !complete;
  }

  get #hasRoom(): boolean {
    return (
      this.#waiting.length < WAITING_LIMIT &&
      this.#size < this.options.queueByteLimit
    );
  }

  #add(message: JournaledMessage): void {
    const payload = this.messages.isRepeatable(message)
      ? this.#encode(message)
      : null;
    this.#wait(message.offset, payload);
  }

  #wait(offset: string, payload: string | null): void {
    this.#readTo = offset;
    this.#size += payload?.length ?? 0;
    const dueAt = performance.now() + this.options.delay;
    this.#waiting.push({ offset, payload, dueAt });
  }

  #encode(message: InvalidationMessage): string {
    return this.messages.encode(this.messages.final(message));
  }

  /** Repeats everything in the place of what came up to now, after the same time. */
  async #beginAtEnd(): Promise<void> {
    const tail = await this.#journal.tail();
    if (this.#timer === null) return;
    this.#wait(tail, this.#encode(this.messages.everything()));
  }

  async #repeat(): Promise<void> {
    const now = performance.now();
    for (;;) {
      const batch = this.#take(now);
      if (batch.length === 0) return;
      await this.#forward(batch);
    }
  }

  /** Entries that are due, for one call. */
  #take(now: number): Waiting[] {
    let count = 0;
    let size = 0;
    for (const { payload, dueAt } of this.#waiting) {
      if (dueAt > now || count === BATCH.messages || size > BATCH.size) break;
      size += payload?.length ?? 0;
      count++;
    }
    this.#size -= size;
    return this.#waiting.splice(0, count);
  }

  async #forward(batch: readonly Waiting[]): Promise<void> {
    const from = this.#from ?? NOWHERE;
    const to = batch.at(-1)!.offset;
    const messages = batch.flatMap(({ offset, payload }) =>
      payload === null ? [] : { payload, kind: 'next' as const, offset },
    );
    if (from.offset === to && messages.length === 0) return;
    const place = await this.record.forward(from, to, messages);
    if (place === null) this.#forget();
    else this.#from = place;
  }
}
