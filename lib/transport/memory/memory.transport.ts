import {
  InvalidationTransport,
  type PublishReply,
  type TransportListener,
} from '../invalidation.transport.js';
import type { InMemoryChannel } from './in-memory.channel.js';

/**
 * The transport of tests: no socket, no timer, the same contract. Answers and
 * deliveries come on a later microtask, as over a network.
 *
 * @internal
 */
export class MemoryTransport extends InvalidationTransport {
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

  async publish(payloads: readonly string[]): Promise<PublishReply[]> {
    await Promise.resolve();
    if (this.#closed) {
      return payloads.map(() => new Error('The transport was closed.'));
    }
    return payloads.map((payload) => this.channel.publish(payload));
  }

  async close(): Promise<void> {
    if (this.#listener !== null) this.channel.unsubscribe(this.#listener);
    this.#listener = null;
    this.#closed = true;
  }
}
