import type { InvalidationMessage } from '../message/index.js';
import { decodeEntries, type JournaledMessage } from '../subscriber/index.js';
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

/** @internal */
export interface RepeaterOptions {
  /** Milliseconds after which a message is repeated. */
  readonly delay: number;
  readonly maxMessageBytes: number;
}

/** An entry of the journal, with its repetition. */
interface Repetition {
  readonly offset: string;
  /** `null` for an entry that is not repeated. */
  readonly payload: string | null;
}

interface Waiting extends Repetition {
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
  /** Where the record is; `undefined` until it was read. */
  #from: RelayPlace | undefined;
  /** Offset of the last entry that was read. */
  #readTo: string | null = null;
  #waiting: Waiting[] = [];
  readonly #pager: JournalPager;

  constructor(
    private readonly options: RepeaterOptions,
    private readonly transport: InvalidationTransport,
    private readonly record: RelayRecord,
    private readonly messages: RelayMessages,
    private readonly onError: (error: Error) => void,
  ) {
    this.#pager = new JournalPager((from, count) =>
      transport.readJournal(from, count),
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
      this.onError(error as Error);
    } finally {
      this.#running = false;
    }
  }

  /** Begins again where the record is, at the next poll. */
  #forget(): void {
    this.#from = undefined;
    this.#waiting = [];
  }

  async #read(): Promise<void> {
    if (this.#from === undefined) {
      this.#from = (await this.record.read()).place;
      this.#readTo = this.#from.offset;
    }
    if (this.#readTo === null) return this.#beginAtEnd(null);
    if (this.#waiting.length >= WAITING_LIMIT) return;
    const { entries } = await this.#pager.page(this.#readTo);
    const isWhole = entries[0]?.offset === this.#readTo;
    const messages = decodeEntries(entries, this.options.maxMessageBytes);
    // What was trimmed before it was repeated is not known any more.
    if (!isWhole || messages.length < entries.length) {
      return this.#beginAtEnd(this.#encode(this.messages.everything()));
    }
    for (const message of messages.slice(1)) this.#add(message);
  }

  #add(message: JournaledMessage): void {
    this.#readTo = message.offset;
    this.#waiting.push({
      offset: message.offset,
      payload: this.messages.isRepeatable(message)
        ? this.#encode(message)
        : null,
      dueAt: performance.now() + this.options.delay,
    });
  }

  #encode(message: InvalidationMessage): string {
    return this.messages.encode(this.messages.final(message));
  }

  async #beginAtEnd(payload: string | null): Promise<void> {
    const tail = await this.transport.journalTail();
    this.#waiting = [];
    await this.#forward(tail, [{ offset: tail, payload }]);
    this.#readTo = tail;
  }

  async #repeat(): Promise<void> {
    const now = performance.now();
    const due = this.#waiting.filter(({ dueAt }) => dueAt <= now);
    const last = due.at(-1);
    if (last === undefined) return;
    this.#waiting.splice(0, due.length);
    await this.#forward(last.offset, due);
  }

  async #forward(to: string, entries: readonly Repetition[]): Promise<void> {
    const from = this.#from ?? NOWHERE;
    const messages = entries.flatMap(({ offset, payload }) =>
      payload === null ? [] : [{ payload, kind: 'next' as const, offset }],
    );
    if (from.offset === to && messages.length === 0) return;
    const place = await this.record.forward(from, to, messages);
    if (place === null) this.#forget();
    else this.#from = place;
  }
}
