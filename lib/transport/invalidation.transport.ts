/** What a transport tells the instance that uses it. @internal */
export interface TransportListener {
  /** A payload arrived on the channel. */
  onMessage(payload: string): void;
  /** The broker has acknowledged the subscription: at first, and after a loss. */
  onSubscribed(): void;
  /** The subscription is gone until the next `onSubscribed`. */
  onLost(cause: Error | null): void;
  /** A publish would be answered now: at first, and after an outage. */
  onWritable(): void;
  /** Something is wrong that has no call to answer to. */
  onError(cause: Error): void;
}

/**
 * How many subscribers one payload reached, or why it is not known to have
 * reached the broker.
 *
 * @internal
 */
export type PublishReply = number | Error;

/**
 * How messages travel: a small port with one implementation over Redis and one
 * in memory. It moves text, in order, and reports; what the text means, what to
 * do about a loss and what to send again is decided by those who use it.
 *
 * @internal
 */
export abstract class InvalidationTransport {
  /** Whether a publish would be answered now, as far as is known. */
  abstract readonly writable: boolean;

  /**
   * Connects, subscribes, and keeps doing both until `close()`. Never throws
   * for a broker that is away: the listener hears when it is back.
   */
  abstract start(listener: TransportListener): void;

  /**
   * Sends payloads in one go, in order. Always settles and never rejects; the
   * reply at an index belongs to the payload there.
   */
  abstract publish(payloads: readonly string[]): Promise<PublishReply[]>;

  /** Lets go of every socket and timer. The listener hears nothing after it. */
  abstract close(): Promise<void>;
}
