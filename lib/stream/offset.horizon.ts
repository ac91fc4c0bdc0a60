import {
  compareOffsets,
  JOURNAL_START,
  millisecondsOf,
} from '../message/index.js';

/** How far the clock of Redis may be ahead of this one, in milliseconds. */
const AHEAD_MS = 60_000;

/**
 * How far the journal can have come by now, as far as clocks and its known end
 * allow. An offset beyond it was heard from somebody who cannot be believed.
 *
 * @internal
 */
export class OffsetHorizon {
  /** Computed when an offset is beyond the last one. */
  #last = '0-0';
  #tail = '0-0';

  /** The end of the journal as the command connection told it. */
  get tail(): string {
    return this.#tail;
  }

  /** The command connection told that the journal ends there. */
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
