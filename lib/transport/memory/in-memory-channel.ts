import { addPlace, JOURNAL_START } from '../../message/index.js';
import type {
  JournalEntry,
  Published,
  TransportListener,
} from '../invalidation.transport.js';
import type { L2Entries } from './memory-l2.store.js';
import type { KeptRelay } from './memory-relay-record.js';

const JOURNAL_LENGTH = 1_000;

/**
 * A Pub/Sub channel in this process with its journal, shared by the memory
 * transports of a test.
 *
 * @internal
 */
export class InMemoryChannel {
  /** Every subscriber, and the timers of the messages on their way to it. */
  readonly #listeners = new Map<TransportListener, Set<NodeJS.Timeout>>();
  readonly #taps = new Set<(payload: string) => void>();
  readonly #relays = new Map<string, KeptRelay>();
  readonly #regions = new Map<string, InMemoryChannel>();
  journal: JournalEntry[] = [];
  /** Entries of the second tier. */
  readonly l2: L2Entries = new Map();
  /** Milliseconds that a message is on its way. */
  latency = 0;
  /** Whether a message is lost on its way; the journal holds it all the same. */
  loses: (payload: string) => boolean = () => false;
  #sequence = 0;

  /** @returns the number of subscribers */
  publish(payload: string): number {
    for (const tap of this.#taps) tap(payload);
    const listeners = [...this.#listeners.keys()];
    if (this.loses(payload)) return listeners.length;
    for (const listener of listeners) this.#deliver(payload, listener);
    return listeners.length;
  }

  #deliver(payload: string, listener: TransportListener): void {
    if (this.latency === 0) return listener.onMessage(payload);
    const underway = this.#listeners.get(listener)!;
    const timer = setTimeout(() => {
      underway.delete(timer);
      listener.onMessage(payload);
    }, this.latency);
    timer.unref();
    underway.add(timer);
  }

  /** Journals and publishes a message, which ends with its origin. */
  append(message: string): Published {
    const previous = this.tail;
    const offset = `${++this.#sequence}-0`;
    const payload = addPlace(message, offset, previous);
    this.journal.push({ offset, payload });
    if (this.journal.length > JOURNAL_LENGTH) this.journal.shift();
    return { offset, receivers: this.publish(payload) };
  }

  get tail(): string {
    return this.journal.at(-1)?.offset ?? JOURNAL_START;
  }

  /** The channel of another region. */
  region(name: string): InMemoryChannel {
    const channel = this.#regions.get(name) ?? new InMemoryChannel();
    this.#regions.set(name, channel);
    return channel;
  }

  /** The record of the relay of a source. */
  relay(source: string): KeptRelay {
    const kept = this.#relays.get(source) ?? {
      place: { offset: null, restarts: 0 },
      foreign: false,
      holder: null,
      provenAt: null,
    };
    this.#relays.set(source, kept);
    return kept;
  }

  /** Calls `tap` with every payload, before any subscriber receives it. */
  tap(tap: (payload: string) => void): void {
    this.#taps.add(tap);
  }

  subscribe(listener: TransportListener): void {
    if (!this.#listeners.has(listener))
      this.#listeners.set(listener, new Set());
  }

  /** Messages on their way are lost with the connection. */
  unsubscribe(listener: TransportListener): void {
    for (const timer of this.#listeners.get(listener) ?? []) {
      clearTimeout(timer);
    }
    this.#listeners.delete(listener);
  }
}
