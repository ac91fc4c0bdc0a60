/** The real one, also under fake timers that a test installs later. */
const nextTurn = setImmediate;

/**
 * Runs steps of sweeps, one in each turn of the event loop: several sweeps must not
 * hold it longer than one.
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

/** The turns of this process. @internal */
export const sweepTurns = new SweepTurns();
