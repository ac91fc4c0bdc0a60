/**
 * The time of day in fractions of a millisecond: the monotonic clock, kept within
 * the current millisecond of the wall clock.
 */
export class WallClock {
  #origin = performance.timeOrigin;

  /** Milliseconds since the epoch. */
  now(): number {
    const monotonic = performance.now();
    const least = Date.now() - monotonic;
    this.#origin = Math.min(Math.max(this.#origin, least), least + 1);
    return this.#origin + monotonic;
  }
}
