import type { InvalidationMessage, WidenedCause } from '../message/index.js';
import type { UnverifiedReason } from '../signing/index.js';
import type { Published } from '../transport/index.js';

/**
 * Causes by which widenings are counted: those of received messages
 * ({@link WidenedCause}), and those of messages that are published coarser than
 * intended.
 *
 * - `outbox-overflow`: more than `outboxLimit` waited for Redis
 * - `scope-overflow`: more than `outboxLimit` waited for one commit
 * - `cascade`: the rules of the option `cascade` named too much, or a pattern
 *   that may touch them was published
 *
 * @publicApi
 */
export type CountedWidening =
  WidenedCause | 'outbox-overflow' | 'scope-overflow' | 'cascade';

/**
 * Counts the library's work, on the hot path. `InvalidationStats` keeps the numbers.
 *
 * @internal
 */
export abstract class InvalidationMeter {
  /** The broker has accepted one message, `latency` ms after it was published. */
  abstract published(
    latency: number,
    message: InvalidationMessage,
    reply: Published,
  ): void;
  /** One message waits in the outbox. */
  abstract queued(): void;
  /** A publish failed, or was not answered in time. */
  abstract publishFailed(): void;
  /** One message of another instance arrived. */
  abstract received(): void;
  /** One message of another instance was read from the journal. */
  abstract replayed(): void;
  /** A payload was not a message. */
  abstract malformed(): void;
  /** A message was not obeyed, since it could not be verified. */
  abstract unverified(reason: UnverifiedReason): void;
  /** One message was delivered to this instance's consumers. */
  abstract delivered(message: InvalidationMessage): void;
  /** The delivered message was published `latency` ms ago, elsewhere. */
  abstract propagated(latency: number): void;
  /** A handler finished, well or not, after `latency` ms. */
  abstract handled(
    latency: number,
    handler: string,
    message: InvalidationMessage,
  ): void;
  /** A handler, a condition, a selector or a rule of the application's threw. */
  abstract handlerFailed(): void;
  /** One message was made coarser on purpose. */
  abstract widened(cause: CountedWidening): void;
  /** The subscription stands again after it was lost. */
  abstract reconnected(): void;
}
