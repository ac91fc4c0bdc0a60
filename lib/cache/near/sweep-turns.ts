/** Real under a test's fake timers, if it loads this file before them. */
const nextTurn = setImmediate;

/**
 * Steps of sweeps, one for each turn of the event loop: several caches that are
 * swept at once must not hold it any longer than one.
 */
class SweepTurns {
  readonly #steps = new Set<() => void>();
  #isDue = false;

  add(step: () => void): void {
    this.#steps.add(step);
    this.#turn();
  }

  remove(step: () => void): void {
    this.#steps.delete(step);
  }

  #run(): void {
    this.#isDue = false;
    const [step] = this.#steps;
    if (step === undefined) return;
    this.#steps.delete(step);
    if (this.#steps.size > 0) this.#turn();
    step();
  }

  #turn(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    nextTurn(() => this.#run());
  }
}

/** Of this process, which has one event loop. @internal */
export const sweepTurns = new SweepTurns();
