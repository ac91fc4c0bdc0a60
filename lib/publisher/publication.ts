import {
  encodeMessage,
  parseTimestamp,
  type InvalidationMessage,
} from '../message/index.js';
import type { InvalidationStream, OwnMessage } from '../stream/index.js';
import type { Published } from '../transport/index.js';
import type { PublishReceipt } from './publish-receipt.js';
import type { EncodedMessage } from './split-batch.js';

/**
 * One message on its way to Redis. It is delivered to this instance's consumers
 * once, and its caller is given a receipt once, whichever comes first: Redis'
 * answer, the message itself over the channel, or the end of the caller's patience.
 *
 * @internal
 */
export class Publication implements OwnMessage {
  #delivered: boolean;

  constructor(
    private readonly stream: InvalidationStream,
    /** A burst takes keys until this is read. */
    private readonly encoded: EncodedMessage,
    /** The wall clock when it was published, in milliseconds. */
    readonly at: number,
    /**
     * Takes the receipt; `null` if no caller waits for it, and this instance's
     * consumers have the message already.
     */
    private settle: ((receipt: PublishReceipt) => void) | null,
  ) {
    this.#delivered = settle === null;
  }

  /** A message that has waited: it is delivered here, and its caller has the receipt. */
  static ofWaiting(
    stream: InvalidationStream,
    message: InvalidationMessage,
  ): Publication {
    // Its size was checked before, or it is a collapse that must not be refused.
    const payload = encodeMessage(message, Infinity);
    const at = parseTimestamp(message.timestamp);
    return new Publication(stream, { message, payload }, at, null);
  }

  get message(): InvalidationMessage {
    return this.encoded.message;
  }

  get payload(): string {
    return this.encoded.payload;
  }

  get isDelivered(): boolean {
    return this.#delivered;
  }

  deliver(): void {
    if (this.#delivered) return;
    this.#delivered = true;
    this.stream.deliver(this.message);
  }

  /**
   * Gives the caller its receipt, after the local delivery.
   *
   * @returns whether the caller was still waiting
   */
  answer(
    status: PublishReceipt['status'],
    published: Published | null,
  ): boolean {
    const { settle } = this;
    if (settle === null) return false;
    this.settle = null;
    this.deliver();
    settle({
      status,
      messageId: this.message.messageId,
      receivers: published?.receivers ?? null,
      offset: published?.offset ?? null,
    });
    return true;
  }
}
