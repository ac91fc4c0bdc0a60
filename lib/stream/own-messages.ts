/** A message that its own instance may not have delivered yet. @internal */
export interface OwnMessage {
  /** Delivers the message to this instance's consumers, once. */
  deliver(): void;
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
  /** By message id; `null` once this instance's consumers have the message. */
  #sent = new Map<string, OwnMessage | null>();
  /** The previous generation, dropped as a whole since that is cheaper. */
  #older = new Map<string, OwnMessage | null>();

  /** Records that a message is being published. */
  sent(messageId: string, undelivered: OwnMessage | null): void {
    this.#sent.set(messageId, undelivered);
    if (this.#sent.size < GENERATION) return;
    this.#older = this.#sent;
    this.#sent = new Map();
  }

  /** Records that a message was delivered locally; its echo may still come. */
  delivered(messageId: string): void {
    if (this.#sent.has(messageId)) this.#sent.set(messageId, null);
    else if (this.#older.has(messageId)) this.#older.set(messageId, null);
  }

  isUnderWay(messageId: string): boolean {
    return this.#sent.has(messageId) || this.#older.has(messageId);
  }

  /**
   * Records a message of the channel or the journal. Redis may deliver an own message
   * before it answers the publish; then it is delivered locally now.
   *
   * @returns whether it was an own message under way
   */
  received(messageId: string): boolean {
    const message = this.#sent.get(messageId) ?? this.#older.get(messageId);
    const wasSent = this.#sent.delete(messageId);
    if (!wasSent && !this.#older.delete(messageId)) return false;
    message?.deliver();
    return true;
  }
}
