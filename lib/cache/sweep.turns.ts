/**
 * Steps of sweeps, one for each turn of the event loop: several caches that are
 * swept at once must not hold it any longer than one.
 */
class SweepTurns {
  readonly #steps = new Set<() => void>();
  #next: NodeJS.Immediate | null = null;

  add(step: () => void): void {
    this.#steps.add(step);
    this.#next ??= setImmediate(() => this.#run());
  }

  remove(step: () => void): void {
    this.#steps.delete(step);
  }

  #run(): void {
    const [step] = this.#steps;
    this.#next = null;
    if (step === undefined) return;
    this.#steps.delete(step);
    if (this.#steps.size > 0) this.#next = setImmediate(() => this.#run());
    step();
  }
}

/** Of this process, which has one event loop. @internal */
export const sweepTurns = new SweepTurns();
