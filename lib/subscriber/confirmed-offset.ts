import type { JournalReader } from './journal-reader.js';

/**
 * Confirms that the journal has an offset that a message claimed. Loads that began
 * at one offset end one after the other, so one answer serves them all.
 *
 * @internal
 */
export class ConfirmedOffset {
  #offset: string | null = null;
  #answer: Promise<boolean> = Promise.resolve(false);

  constructor(private readonly journal: JournalReader) {}

  /** `false` also if the journal could not be read: the next call reads again. */
  has(offset: string): Promise<boolean> {
    if (offset !== this.#offset) {
      this.#offset = offset;
      this.#answer = this.#read(offset);
    }
    return this.#answer;
  }

  /** Ends a reading under way: the offset is not confirmed. */
  cancel(): void {
    this.journal.cancel();
  }

  async #read(offset: string): Promise<boolean> {
    try {
      if (await this.journal.has(offset)) return true;
    } catch {
      // Not stored then: a load that begins later is.
    }
    if (this.#offset === offset) this.#offset = null;
    return false;
  }
}
