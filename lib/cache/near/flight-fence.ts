import type { Marks } from '../../replica/index.js';
import type { Fence } from '../../stream/index.js';

/**
 * The fence of a load under way: no invalidation overtakes a load that waits for its
 * turn, since it has not begun.
 *
 * @internal
 */
export class FlightFence implements Fence {
  #fence: Fence | null;
  #hasTurn = false;

  /** @param marks of a replica that the load has to heed; `null` if there are none */
  constructor(
    fence: Fence,
    public marks: Marks | null,
    /** Whether a load that has its turn has started it, so that it takes none. */
    readonly isNested = false,
  ) {
    this.#fence = fence;
  }

  /** Whether the load may have to wait for a turn, now or later; known where loads have turns. */
  get mayWait(): boolean {
    return !this.#hasTurn && !this.isNested;
  }

  holds(...keys: string[]): boolean {
    return this.#fence === null || this.#fence.holds(...keys);
  }

  waits(): void {
    this.#fence = null;
  }

  /** @param fence taken now, as are the marks */
  begins(fence: Fence, marks: Marks | null): void {
    this.#fence = fence;
    this.#hasTurn = true;
    this.marks = marks;
  }

  /** Its turn has ended; it may need another one. */
  ends(): void {
    this.#hasTurn = false;
  }
}

/** The fence of each id of a load. @internal */
export type FenceOf<I> = (id: I) => FlightFence;
