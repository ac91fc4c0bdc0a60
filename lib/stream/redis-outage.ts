const SHORT_MS = 10_000;
/** Longer than any pause between two tries. */
const APART_MS = 15_000;

/**
 * Errors of Redis that follow each other without a pause. An outage longer than ten
 * seconds is not logged at each try.
 *
 * @internal
 */
export class RedisOutage {
  #begun = 0;
  #latest = -Infinity;

  /**
   * Records an error.
   *
   * @returns whether Redis has been away for long
   */
  record(now: number): boolean {
    // A clock that was set back begins a new outage.
    const isNext = now >= this.#latest && now - this.#latest <= APART_MS;
    if (!isNext) this.#begun = now;
    this.#latest = now;
    return this.#isLong();
  }

  /** @returns the length of the outage in milliseconds; `null` for none or a short one */
  end(now: number): number | null {
    const away = this.#isLong() ? now - this.#begun : null;
    this.#latest = -Infinity;
    return away;
  }

  #isLong(): boolean {
    return this.#latest - this.#begun >= SHORT_MS;
  }
}
