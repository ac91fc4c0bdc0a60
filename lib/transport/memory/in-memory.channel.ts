import { ENCODED_ORIGIN_LENGTH, JOURNAL_START } from '../../message/index.js';
import type {
  JournalEntry,
  Published,
  TransportListener,
} from '../invalidation.transport.js';
import type { L2Entries } from './memory.l2.store.js';

const JOURNAL_LENGTH = 1_000;

/**
 * A Pub/Sub channel inside this process with its journal, shared by its
 * transports.
 *
 * @internal
 */
export class InMemoryChannel {
  readonly #listeners = new Set<TransportListener>();
  readonly #taps = new Set<(payload: string) => void>();
  readonly journal: JournalEntry[] = [];
  /** What near caches share. */
  readonly l2: L2Entries = new Map();
  #sequence = 0;

  /** Delivers to every subscriber, and tells how many there were. */
  publish(payload: string): number {
    for (const tap of this.#taps) tap(payload);
    const listeners = [...this.#listeners];
    for (const listener of listeners) listener.onMessage(payload);
    return listeners.length;
  }

  /** The same for a message that ends with its origin, by way of the journal. */
  append(message: string): Published {
    const previous = this.tail;
    const offset = `${++this.#sequence}-0`;
    const payload =
      message.slice(0, -ENCODED_ORIGIN_LENGTH) +
      `,"offset":"${offset}","previous":"${previous}"` +
      message.slice(-ENCODED_ORIGIN_LENGTH);
    this.journal.push({ offset, payload });
    if (this.journal.length > JOURNAL_LENGTH) this.journal.shift();
    return { offset, receivers: this.publish(payload) };
  }

  get tail(): string {
    return this.journal.at(-1)?.offset ?? JOURNAL_START;
  }

  /** Sees every payload before any subscriber. */
  tap(tap: (payload: string) => void): void {
    this.#taps.add(tap);
  }

  subscribe(listener: TransportListener): void {
    this.#listeners.add(listener);
  }

  unsubscribe(listener: TransportListener): void {
    this.#listeners.delete(listener);
  }
}
