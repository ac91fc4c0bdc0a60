import { compareOffsets, compilePattern } from '../../message/index.js';
import type { L2Store } from '../l2.store.js';

/** Entries of the second tier in memory, for all applications on a channel. @internal */
export type L2Entries = Map<string, Buffer>;

/**
 * The second tier of tests: the contract of Redis, but only texts of `swap()` expire. Replies
 * come on a later microtask, as over a network.
 *
 * @internal
 */
export class MemoryL2Store implements L2Store {
  readonly opened = Promise.resolve();
  readonly keySpace = '';

  /** @param reach throws while the connection is cut */
  constructor(
    private readonly entries: L2Entries,
    private readonly reach: () => void = () => {},
  ) {}

  open(): void {}

  async get(key: string): Promise<Buffer | null> {
    this.reach();
    return this.entries.get(key) ?? null;
  }

  async put(key: string, offset: string, entry: Buffer): Promise<void> {
    this.reach();
    const there = this.#offsetOf(key);
    if (there === null || compareOffsets(there, offset) <= 0) {
      this.entries.set(key, entry);
    }
  }

  async drop(key: string, offset: string): Promise<void> {
    this.reach();
    const there = this.#offsetOf(key);
    if (there === null || compareOffsets(there, offset) < 0) {
      this.entries.delete(key);
    }
  }

  async *scan(pattern: string): AsyncIterable<string[]> {
    this.reach();
    const matches = compilePattern(pattern);
    yield [...this.entries.keys()].filter((key) => matches(key));
  }

  async lease(key: string, holder: string): Promise<boolean> {
    this.reach();
    if (!this.entries.has(key)) this.entries.set(key, Buffer.from(holder));
    return this.entries.get(key)!.toString() === holder;
  }

  async swap(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null> {
    this.reach();
    const there = this.entries.get(key)?.toString();
    if (there !== undefined && there !== expected) return there;
    const written = Buffer.from(text);
    this.entries.set(key, written);
    setTimeout(() => {
      if (this.entries.get(key) === written) this.entries.delete(key);
    }, ttl).unref();
    return null;
  }

  async write(key: string, text: string): Promise<void> {
    this.reach();
    this.entries.set(key, Buffer.from(text));
  }

  close(): void {}

  #offsetOf(key: string): string | null {
    const entry = this.entries.get(key)?.toString('latin1');
    return /^\d+-\d+/.exec(entry ?? '')?.[0] ?? null;
  }
}
