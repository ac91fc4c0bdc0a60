import { compareOffsets, readOwnId } from '../../message/index.js';
import {
  InvalidationTransport,
  type JournalEntry,
  type Published,
  type PublishReply,
  type TransportListener,
} from '../invalidation.transport.js';
import type { L2Store } from '../l2.store.js';
import type { InMemoryChannel } from './in-memory.channel.js';
import { MemoryL2Store } from './memory.l2.store.js';

/**
 * The transport of tests: no socket, no timer, the same contract. Answers and
 * deliveries come on a later microtask, as over a network.
 *
 * @internal
 */
export class MemoryTransport extends InvalidationTransport {
  readonly journaled = true;
  #listener: TransportListener | null = null;
  #closed = false;

  constructor(private readonly channel: InMemoryChannel) {
    super();
  }

  get writable(): boolean {
    return !this.#closed;
  }

  start(listener: TransportListener): void {
    this.#listener = listener;
    this.channel.subscribe(listener);
    queueMicrotask(() => {
      if (this.#listener !== listener) return;
      listener.onSubscribed();
      listener.onWritable();
    });
  }

  async publish(
    payloads: readonly string[],
    triedSince: string | null = null,
  ): Promise<PublishReply[]> {
    await Promise.resolve();
    if (this.#closed) {
      return payloads.map(() => new Error('The transport was closed.'));
    }
    // All of the journal is as good as a part of it, where it is this short.
    const announced = triedSince === null ? [] : [...this.channel.journal];
    return payloads.map(
      (payload) =>
        alreadyIn(announced, payload) ?? this.channel.append(payload),
    );
  }

  async readJournal(from: string, count: number): Promise<JournalEntry[]> {
    const { journal } = this.channel;
    return journal
      .filter(({ offset }) => from === '-' || compareOffsets(offset, from) >= 0)
      .slice(0, count);
  }

  async journalTail(): Promise<string> {
    return this.channel.tail;
  }

  async missingRights(): Promise<string[]> {
    return [];
  }

  async ping(): Promise<void> {}

  reconnect(): void {}

  l2Store(): L2Store {
    return new MemoryL2Store(this.channel.l2);
  }

  async close(): Promise<void> {
    if (this.#listener !== null) this.channel.unsubscribe(this.#listener);
    this.#listener = null;
    this.#closed = true;
  }
}

function alreadyIn(
  journal: readonly JournalEntry[],
  payload: string,
): Published | null {
  const id = readOwnId(payload);
  const entry = journal.find((earlier) => readOwnId(earlier.payload) === id);
  return entry === undefined ? null : { offset: entry.offset, receivers: null };
}
