import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from '../../common/index.js';
import {
  describeCause,
  InvalidationConfigurationError,
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../../errors/index.js';
import { L2UnavailableError, type L2Store } from '../../transport/index.js';

/** After a read that Redis did not answer in time, reads skip it for this long. */
const REST_MS = 1_000;
/** Writes under way; beyond it entries are neither stored nor dropped. */
const WRITE_LIMIT = 10_000;
const LATE = new L2UnavailableError('Redis did not answer in time.');

/**
 * Commands of one tier to its store. Reads are bounded in time, nobody waits for
 * writes, and failures are counted and reported instead of thrown.
 *
 * @internal
 */
export class L2Commands {
  #errors = 0;
  #writing = 0;
  /** Settled when the first command may be sent: once ready, or after `timeout`. */
  #opening: Promise<unknown> | null = null;
  #restUntil = 0;

  constructor(
    private readonly prefix: string,
    private readonly store: L2Store,
    /** In milliseconds, of a read, and of the wait for `ready()`. */
    private readonly timeout: number,
    private readonly ready: () => Promise<void>,
    private readonly report: (error: CacheInvalidationError) => void,
  ) {}

  get errors(): number {
    return this.#errors;
  }

  get isFull(): boolean {
    return this.#writing >= WRITE_LIMIT;
  }

  /** @returns `null` if there is no entry, or Redis does not answer */
  async get(key: string): Promise<Buffer | null> {
    const reply = this.#answered(() => this.store.get(this.prefix + key));
    return (await reply) ?? null;
  }

  /**
   * Writes a text, unless another one than `expected` is there.
   *
   * @param ttl in milliseconds
   * @returns the text that is there instead; `null` if it was written, `undefined` if
   * Redis does not answer
   */
  swap(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null | undefined> {
    return this.#answered(() =>
      this.store.swap(this.prefix + key, expected, text, ttl),
    );
  }

  /**
   * Stores an entry.
   *
   * @param ttl in milliseconds
   * @param confirmed whether its offset is in the journal: later instances would
   * trust an offset that some message only claims
   * @returns whether the entry, or a later one, is stored
   */
  put(
    key: string,
    offset: string,
    entry: Buffer,
    ttl: number,
    confirmed: Promise<boolean>,
  ): Promise<boolean> {
    const writing = this.#put(key, offset, entry, ttl, confirmed);
    this.track(writing);
    return writing.catch(() => false);
  }

  /** Drops an entry whose load began before an offset. */
  drop(key: string, before: string): void {
    if (this.isFull) return;
    this.track(
      this.#whenOpen().then(() => this.store.drop(this.prefix + key, before)),
    );
  }

  /** Counts a write until it has ended. */
  track(writing: Promise<unknown>): void {
    this.#writing++;
    writing
      .catch((error: Error) => this.failed(error))
      .finally(() => this.#writing--);
  }

  failed(error: Error): void {
    this.#errors++;
    // The store reports that it has no connection.
    if (error instanceof L2UnavailableError) return;
    if (error instanceof InvalidationConfigurationError) return;
    if (error.message.includes('enableOfflineQueue')) return;
    this.report(
      new InvalidationRedisError(
        `The shared tier of a near cache: ${describeCause(error)}.`,
        'The value is loaded instead.',
        error,
      ),
    );
  }

  async #put(
    key: string,
    offset: string,
    entry: Buffer,
    ttl: number,
    confirmed: Promise<boolean>,
  ): Promise<boolean> {
    if (!(await confirmed)) return false;
    await this.#whenOpen();
    await this.store.put(this.prefix + key, offset, entry, ttl);
    return true;
  }

  /** @returns `undefined` if Redis does not answer in time, or fails */
  async #answered<T>(ask: () => Promise<T>): Promise<T | undefined> {
    await this.#whenOpen();
    if (performance.now() < this.#restUntil) return undefined;
    try {
      return await withDeadline(this.timeout, ask(), () => LATE);
    } catch (error) {
      if (error === LATE) this.#restUntil = performance.now() + REST_MS;
      this.failed(error as Error);
      return undefined;
    }
  }

  /**
   * The first commands of a tier wait for its connection, and for the messages
   * from before it was created.
   */
  #whenOpen(): Promise<unknown> {
    this.#opening ??= Promise.race([
      this.ready(),
      // Not `settlesWithin()`, whose timer would keep the process alive.
      delay(this.timeout, undefined, { ref: false }),
    ]);
    return this.#opening;
  }
}
