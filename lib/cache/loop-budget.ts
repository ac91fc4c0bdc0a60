const WINDOW_MS = 100;
/** What all caches together may hold the event loop for in one window. */
const BUDGET_MS = 20;

/**
 * Time that caches spend at once, while a message is delivered: shared by all of
 * them, since there is one event loop, however many caches there are.
 *
 * @internal
 */
export class LoopBudget {
  #began = -Infinity;
  #spent = 0;

  /** @returns milliseconds */
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

/** Of this process. @internal */
export const loopBudget = new LoopBudget();
