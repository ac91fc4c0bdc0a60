const SHORT_MS = 10_000;
/** Longer than the pause between two tries of whatever asks Redis. */
const APART_MS = 15_000;

/**
 * Errors of Redis that follow each other without a pause: what lasts longer than
 * ten seconds needs no line in the log at each try.
 *
 * @internal
 */
export class RedisOutage {
  #begun = 0;
  #latest = -Infinity;

  /** @returns whether Redis has been away for long */
  note(now: number): boolean {
    // A clock that was set back begins a new one.
    const isNext = now >= this.#latest && now - this.#latest <= APART_MS;
    if (!isNext) this.#begun = now;
    this.#latest = now;
    return this.#isLong();
  }

  /** @returns how long it was, in milliseconds; `null` if it was none or short */
  end(now: number): number | null {
    const away = this.#isLong() ? now - this.#begun : null;
    this.#latest = -Infinity;
    return away;
  }

  #isLong(): boolean {
    return this.#latest - this.#begun >= SHORT_MS;
  }
}
