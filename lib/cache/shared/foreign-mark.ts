import { retryDelay } from '../../common/index.js';
import type { L2Store } from '../../transport/index.js';

/** A mark outlives what was stored before it by so long, and is renewed as often. */
const RENEWAL_MS = 60_000;

/** @internal */
export interface ForeignMarkOptions {
  /** Called at each use: the mark of a service has a store only once it is needed. */
  readonly store: () => L2Store;
  readonly key: string;
  /** How long entries are kept that it speaks of, in milliseconds. */
  readonly ttl: () => number;
  /** Told how each attempt to leave it ends. */
  readonly onWriting: (writing: Promise<void>) => void;
}

/**
 * A mark in Redis: publishers without a journal were heard, so that the journal
 * alone does not tell an instance that starts later what it has missed.
 *
 * @internal
 */
export class ForeignMark {
  #leftAt = -Infinity;
  #attempt = 0;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(private readonly options: ForeignMarkOptions) {}

  /** Such a publisher was heard. */
  leave(): void {
    const now = performance.now();
    if (this.#closed || now - this.#leftAt < RENEWAL_MS) return;
    this.#leftAt = now;
    this.options.onWriting(this.#write());
  }

  /** Something is stored, which the mark has to outlive. */
  renew(): void {
    if (this.#leftAt !== -Infinity) this.leave();
  }

  /** Whether an instance of the service has left it. */
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

  /** No other message may come, and until then others trust stale entries. */
  #leaveLater(): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#leftAt = -Infinity;
      this.leave();
    }, retryDelay(this.#attempt++)).unref();
  }
}
