/** A message that its own instance may not have delivered yet. @internal */
export interface OwnMessage {
  /** Delivers the message to this instance's consumers, once. */
  deliver(): void;
}

/**
 * A message under way. A map's table in old memory, which V8 has replaced by a larger
 * one, keeps alive what it held until the next full collection: this little, without
 * the message.
 */
interface Sent {
  /** `null` once this instance's consumers have the message. */
  undelivered: OwnMessage | null;
}

/** Messages in one generation; two are kept. */
const GENERATION = 10_000;

/**
 * Own messages under way: handed to Redis, and not received back yet. Only these
 * can come back as an echo: any other message that is signed with this instance's
 * origin was forged, or is received a second time, and is delivered like messages
 * of other instances.
 *
 * @internal
 */
export class OwnMessages {
  /** By message id. */
  #sent = new Map<string, Sent>();
  /** The previous generation, dropped as a whole since that is cheaper. */
  #older = new Map<string, Sent>();

  /** Records that a message is being published. */
  sent(messageId: string, undelivered: OwnMessage | null): void {
    this.#sent.set(messageId, { undelivered });
    if (this.#sent.size < GENERATION) return;
    this.#older = this.#sent;
    this.#sent = new Map();
  }

  /** Records that a message was delivered locally; its echo may still come. */
  delivered(messageId: string): void {
    const sent = this.#find(messageId);
    if (sent !== undefined) sent.undelivered = null;
  }

  isUnderWay(messageId: string): boolean {
    return this.#find(messageId) !== undefined;
  }

  /**
   * Records a message of the channel or the journal. Redis may deliver an own message
   * before it answers the publish; then it is delivered locally now.
   *
   * @returns whether it was an own message under way
   */
  received(messageId: string): boolean {
    const sent = this.#find(messageId);
    if (sent === undefined) return false;
    if (!this.#sent.delete(messageId)) this.#older.delete(messageId);
    const { undelivered } = sent;
    sent.undelivered = null;
    undelivered?.deliver();
    return true;
  }

  #find(messageId: string): Sent | undefined {
    return this.#sent.get(messageId) ?? this.#older.get(messageId);
  }
}
