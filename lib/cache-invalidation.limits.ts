import { Count } from './cache-invalidation.options-rules.js';

const MEBIBYTE = 1_048_576;

/** Options that bound queues and messages. The initialisers are the defaults. */
export class CacheInvalidationLimits {
  /**
   * How many messages may wait for Redis, or for one commit, a batch counting
   * its keys; beyond it they collapse to entity types, then to everything.
   *
   * @default 10000
   */
  @Count()
  outboxLimit: number = 10_000;

  /**
   * How many messages may wait for one busy handler; beyond it they collapse to
   * one message that covers everything.
   *
   * @default 1000
   */
  @Count()
  handlerQueueLimit: number = 1_000;

  /**
   * How many bytes of messages may wait in one place: for Redis, for one commit,
   * for one busy handler, or for a read of the journal. Beyond it they collapse
   * as by the other limits. At least 65536.
   *
   * @default 16777216
   */
  @Count(65_536)
  queueByteLimit: number = 16 * MEBIBYTE;

  /** How many keys one message carries; larger batches are split. @default 1000 */
  @Count()
  maxBatchSize: number = 1_000;

  /**
   * The largest message that is published or read, in bytes; at least 4096, so
   * that "everything" always fits.
   *
   * @default 1048576
   */
  @Count(4_096)
  maxMessageBytes: number = MEBIBYTE;
}
