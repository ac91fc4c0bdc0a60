/** Ids in one generation; two are kept. */
const GENERATION = 10_000;

/**
 * Own messages that were handed to Redis and have not come back yet. Only these
 * can come back as an echo: whatever else is signed with this instance's origin
 * was forged, or comes a second time, and is delivered like any other message.
 *
 * @internal
 */
export class SentMessages {
  #ids = new Set<string>();
  /** The generation before: dropped whole, since one by one costs more. */
  #older = new Set<string>();

  add(messageId: string): void {
    this.#ids.add(messageId);
    if (this.#ids.size < GENERATION) return;
    this.#older = this.#ids;
    this.#ids = new Set();
  }

  has(messageId: string): boolean {
    return this.#ids.has(messageId) || this.#older.has(messageId);
  }

  /** @returns whether it was among them */
  remove(messageId: string): boolean {
    return this.#ids.delete(messageId) || this.#older.delete(messageId);
  }
}
