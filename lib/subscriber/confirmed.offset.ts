import type { JournalReader } from './journal.reader.js';

/**
 * Whether an offset that was heard is one of the journal's. Loads that began at
 * one offset end one after the other, so one answer serves them all.
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

  async #read(offset: string): Promise<boolean> {
    try {
      const [entry] = await this.journal.read(offset, 1);
      if (entry?.offset === offset) return true;
    } catch {
      // Not stored then: a load that begins later is.
    }
    if (this.#offset === offset) this.#offset = null;
    return false;
  }
}
