import { retryDelay } from '../../common/index.js';
import type { L2Store } from '../../transport/index.js';

/** A mark outlives the entries stored before it by this time, and is renewed as often. */
const RENEWAL_MS = 60_000;

/** @internal */
export interface ForeignMarkOptions {
  /** Called at each use: the store of a service's mark is created when it is needed. */
  readonly store: () => L2Store;
  readonly key: string;
  /** Longest time that the entries it covers are kept, in milliseconds. */
  readonly ttl: () => number;
  /** Called with each attempt to leave the mark. */
  readonly onWriting: (writing: Promise<void>) => void;
}

/**
 * A mark in Redis that says that foreign messages, which have no journal offset,
 * were received: an instance that starts later cannot rely on the journal alone to
 * know what it has missed.
 *
 * @internal
 */
export class ForeignMark {
  #leftAt = -Infinity;
  #attempt = 0;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(private readonly options: ForeignMarkOptions) {}

  /** Leaves the mark; to be called at each foreign message. */
  leave(): void {
    const now = performance.now();
    if (this.#closed || now - this.#leftAt < RENEWAL_MS) return;
    this.#leftAt = now;
    this.options.onWriting(this.#write());
  }

  /** Renews a mark that was left; to be called at each entry stored, which it has to outlive. */
  renew(): void {
    if (this.#leftAt !== -Infinity) this.leave();
  }

  /** Whether any instance of the service has left the mark. */
  async isLeft(): Promise<boolean> {
    const store = this.options.store();
    await store.opened;
    return (await store.get(this.options.key)) !== null;
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
  }

  async #write(): Promise<void> {
    try {
      const store = this.options.store();
      await store.opened;
      const ttl = this.options.ttl() + RENEWAL_MS;
      await store.write(this.options.key, '1', ttl);
      this.#attempt = 0;
    } catch (error) {
      this.#leaveLater();
      throw error;
    }
  }

  /** Retries by itself: until the mark is left, other instances trust stale entries. */
  #leaveLater(): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#leftAt = -Infinity;
      this.leave();
    }, retryDelay(this.#attempt++)).unref();
  }
}
