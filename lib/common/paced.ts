/**
 * Runs some work at most once in a period. Calls during the period share one run at its
 * end.
 *
 * @internal
 */
export class Paced {
  #pause: NodeJS.Timeout | null = null;
  #isOwed = false;

  /** @param period in milliseconds */
  constructor(
    private readonly period: number,
    private readonly work: () => void,
  ) {}

  run(): void {
    this.#isOwed = true;
    if (this.#pause === null) this.#runNow();
  }

  /** Whether a run waits for the end of the period. */
  get isOwed(): boolean {
    return this.#isOwed;
  }

  /** Cancels the run that is owed. */
  close(): void {
    if (this.#pause !== null) clearTimeout(this.#pause);
    this.#pause = null;
    this.#isOwed = false;
  }

  #runNow(): void {
    this.#pause = null;
    if (!this.#isOwed) return;
    this.#isOwed = false;
    this.#pause = setTimeout(() => this.#runNow(), this.period);
    this.#pause.unref();
    this.work();
  }
}
