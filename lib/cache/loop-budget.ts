const WINDOW_MS = 100;
/** Time for which all caches together may hold the event loop in one window. */
const BUDGET_MS = 20;

/**
 * Time that caches may spend synchronously while messages are delivered. All caches
 * share it, since they share one event loop.
 *
 * @internal
 */
export class LoopBudget {
  #began = -Infinity;
  #spent = 0;

  /** Milliseconds left in this window. */
  left(now: number): number {
    if (now - this.#began >= WINDOW_MS) {
      this.#began = now;
      this.#spent = 0;
    }
    return BUDGET_MS - this.#spent;
  }

  spend(ms: number): void {
    this.#spent += ms;
  }
}

/** The budget of this process. @internal */
export const loopBudget = new LoopBudget();
