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

  /** @param marks of a replica that the load has to heed; `null` if there are none */
  constructor(
    fence: Fence,
    public marks: Marks | null,
  ) {
    this.#fence = fence;
  }

  /** Whether the load waits for its turn. */
  get isWaiting(): boolean {
    return this.#fence === null;
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
    this.marks = marks;
  }
}
