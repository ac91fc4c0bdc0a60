import type { RedisConnection } from './redis/redis.connection.js';

/**
 * Entries in Redis that all instances of a service share. Each begins with the
 * offset of the journal at which it was loaded, and a line feed.
 *
 * Every method may reject, or take long: whoever reads has a deadline of its own.
 *
 * @internal
 */
export interface L2Store {
  /** Connects, and stays connected until `close()`. */
  open(): void;

  /** Resolves once it is connected for the first time. */
  readonly opened: Promise<void>;

  get(key: string): Promise<Buffer | null>;

  /**
   * Stores an entry, unless a later one is there.
   *
   * @param offset the one it begins with
   * @param ttl milliseconds
   */
  put(key: string, offset: string, entry: Buffer, ttl: number): Promise<void>;

  /** Removes an entry that was loaded before an offset. */
  drop(key: string, offset: string): Promise<void>;

  /** Keys, in no order and perhaps twice, some at a time. */
  scan(pattern: string): AsyncIterable<readonly string[]>;

  /**
   * Takes or renews a lease, unless another holds it.
   *
   * @param ttl milliseconds until it ends by itself
   */
  lease(key: string, holder: string, ttl: number): Promise<boolean>;

  /** @param ttl milliseconds */
  write(key: string, text: string, ttl: number): Promise<void>;

  close(): void;
}

/**
 * There is no connection any more, which the store tells by `onError`.
 *
 * @internal
 */
export class L2UnavailableError extends Error {}

/** @internal */
export interface L2StoreOptions {
  /** `undefined` for that of the invalidations. */
  readonly connection: RedisConnection | undefined;
  readonly onError: (cause: Error) => void;
}
