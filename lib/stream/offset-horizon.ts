import {
  compareOffsets,
  JOURNAL_START,
  millisecondsOf,
} from '../message/index.js';

/** How far the clock of Redis may be ahead of this one, in milliseconds. */
const AHEAD_MS = 60_000;

/**
 * The highest offset that can exist by now, by the clocks and the known end of the
 * journal. A message with an offset beyond it was forged.
 *
 * @internal
 */
export class OffsetHorizon {
  /** The highest allowed offset, computed again when an offset exceeds it. */
  #last = '0-0';
  #tail = '0-0';

  /** The known end of the journal, read on the command connection. */
  get tail(): string {
    return this.#tail;
  }

  /** Records the end of the journal, read on the command connection. */
  sawTail(offset: string): void {
    this.#tail = offset;
  }

  /**
   * How far a position is behind the journal's known end, in milliseconds between
   * the two messages; 0 for no position.
   */
  lagOf(position: string | null): number {
    // At the start of an empty journal there is nothing to measure from.
    if (position === null || position === JOURNAL_START) return 0;
    if (compareOffsets(this.#tail, position) <= 0) return 0;
    return millisecondsOf(this.#tail) - millisecondsOf(position);
  }

  /** An entry was read, so the journal goes at least so far. */
  sawEntry(offset: string | undefined): void {
    if (offset !== undefined && compareOffsets(offset, this.#tail) > 0) {
      this.#tail = offset;
    }
  }

  /** Whether an offset can exist by now. Costs one comparison nearly always. */
  allows(offset: string): boolean {
    if (compareOffsets(offset, this.#last) <= 0) return true;
    const now = Math.max(Date.now(), millisecondsOf(this.#tail));
    this.#last = `${now + AHEAD_MS}-0`;
    return compareOffsets(offset, this.#last) <= 0;
  }
}
