import { compareOffsets, readOwnId } from '../../message/index.js';
import {
  InvalidationTransport,
  type JournalEntry,
  type Published,
  type PublishReply,
  type TransportListener,
} from '../invalidation.transport.js';
import type { L2Store } from '../l2.store.js';
import type { InMemoryChannel } from './in-memory-channel.js';
import type { RelayRecord } from '../relay-record.js';
import { MemoryL2Store } from './memory-l2.store.js';
import { MemoryRelayRecord } from './memory-relay-record.js';

/**
 * The transport of tests: the contract of Redis without sockets or timers, and with
 * outages on request. Replies and deliveries come on a later microtask, as over a
 * network.
 *
 * @internal
 */
export class MemoryTransport extends InvalidationTransport {
  readonly journaled = true;
  #listener: TransportListener | null = null;
  #subscribes = true;
  #closed = false;
  #isCut = false;

  constructor(private readonly channel: InMemoryChannel) {
    super();
  }

  get writable(): boolean {
    return !this.#closed && !this.#isCut;
  }

  start(listener: TransportListener, subscribes = true): void {
    this.#subscribes = subscribes;
    this.#listener = listener;
    if (!this.#isCut) this.#connect(listener);
  }

  /** Begins an outage of the network between this instance and the broker. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    if (this.#listener === null) return;
    this.channel.unsubscribe(this.#listener);
    this.#listener.onLost(cutOff());
  }

  /** Ends the outage. */
  heal(): void {
    if (!this.#isCut) return;
    this.#isCut = false;
    if (this.#listener !== null) this.#connect(this.#listener);
  }

  /** Subscribes again, as after an outage too short to be noticed. */
  resubscribe(): void {
    if (this.writable && this.#listener !== null) this.#connect(this.#listener);
  }

  #connect(listener: TransportListener): void {
    if (this.#subscribes) this.channel.subscribe(listener);
    // A test's fake timers may hold back `queueMicrotask`, but no promise.
    void Promise.resolve().then(() => {
      if (this.#listener !== listener || !this.writable) return;
      if (this.#subscribes) listener.onSubscribed();
      listener.onWritable();
    });
  }

  #reach(): void {
    if (this.#isCut) throw cutOff();
  }

  async publish(
    payloads: readonly string[],
    triedSince: string | null = null,
  ): Promise<PublishReply[]> {
    await Promise.resolve();
    if (this.#closed) {
      return payloads.map(() => new Error('The transport was closed.'));
    }
    if (this.#isCut) return payloads.map(cutOff);
    // This journal is short enough to search all of it.
    const searched = triedSince === null ? [] : [...this.channel.journal];
    return payloads.map(
      (payload) => alreadyIn(searched, payload) ?? this.channel.append(payload),
    );
  }

  async readJournal(from: string, count: number): Promise<JournalEntry[]> {
    this.#reach();
    const { journal } = this.channel;
    return journal
      .filter(({ offset }) => from === '-' || compareOffsets(offset, from) >= 0)
      .slice(0, count);
  }

  async journalTail(): Promise<string> {
    this.#reach();
    return this.channel.tail;
  }

  async missingRights(): Promise<string[]> {
    return [];
  }

  async ping(): Promise<void> {
    this.#reach();
  }

  reconnect(): void {}

  relayRecord(source: string, id: string): RelayRecord {
    return new MemoryRelayRecord(this.channel, source, id, () => this.#reach());
  }

  ofRegion(name: string): InvalidationTransport {
    return new MemoryTransport(this.channel.region(name));
  }

  l2Store(): L2Store {
    return new MemoryL2Store(this.channel.l2, () => this.#reach());
  }

  async close(): Promise<void> {
    if (this.#listener !== null) this.channel.unsubscribe(this.#listener);
    this.#listener = null;
    this.#closed = true;
  }
}

function cutOff(): Error {
  return new Error('The test has cut the connection.');
}

function alreadyIn(
  journal: readonly JournalEntry[],
  payload: string,
): Published | null {
  const id = readOwnId(payload);
  const entry = journal.find((earlier) => readOwnId(earlier.payload) === id);
  return entry === undefined ? null : { offset: entry.offset, receivers: null };
}
