import type { RedisConnection } from './redis/redis-connection.js';

/**
 * Entries of the second tier, which all instances of a service share. Each begins
 * with the journal offset at which it was loaded, and a line feed.
 *
 * Every method may reject, or take long: a near cache bounds its reads itself.
 *
 * @internal
 */
export interface L2Store {
  /** Database and prefix of its connection: keys of other ones are not its own. */
  readonly keySpace: string;

  /** Connects, and stays connected until `close()`. */
  open(): void;

  /** Resolves at the first connect. */
  readonly opened: Promise<void>;

  get(key: string): Promise<Buffer | null>;

  /**
   * Stores an entry, unless one with a later offset is stored.
   *
   * @param offset the offset at the beginning of the entry
   * @param ttl milliseconds
   */
  put(key: string, offset: string, entry: Buffer, ttl: number): Promise<void>;

  /** Removes an entry that was loaded before the offset. */
  drop(key: string, offset: string): Promise<void>;

  /** Pages of the keys that match, in no order; a key may occur twice. */
  scan(pattern: string): AsyncIterable<readonly string[]>;

  /**
   * Takes or renews a lease, unless it has another holder.
   *
   * @param ttl milliseconds until it ends by itself
   */
  lease(key: string, holder: string, ttl: number): Promise<boolean>;

  /**
   * Writes a text, unless another one than `expected` is there.
   *
   * @param ttl milliseconds until it ends by itself
   * @returns the text that is there instead; `null` if it was written
   */
  swap(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null>;

  /** @param ttl milliseconds */
  write(key: string, text: string, ttl: number): Promise<void>;

  close(): void;
}

/**
 * The second tier cannot be reached. The store reports the cause by `onError`.
 *
 * @internal
 */
export class L2UnavailableError extends Error {}

/** @internal */
export interface L2StoreOptions {
  /** `undefined` for the transport's own. */
  readonly connection: RedisConnection | undefined;
  readonly onError: (cause: Error) => void;
}
