/**
 * Calls a listener when nothing has proved for so long that this instance has received
 * everything, and again after each such time until something does.
 *
 * @internal
 */
export class StaleAlarm {
  #timer: NodeJS.Timeout;

  constructor(
    private readonly staleness: { readonly withoutProof: number },
    private readonly maxStaleness: number,
    private readonly onStale: () => void,
  ) {
    this.#timer = this.#watch(maxStaleness - staleness.withoutProof);
  }

  /** Calls the listener now. */
  ring(): void {
    this.onStale();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #watch(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(), Math.max(1, Math.ceil(ms))).unref();
  }

  #look(): void {
    const left = this.maxStaleness - this.staleness.withoutProof;
    this.#timer = this.#watch(left > 0 ? left : this.maxStaleness);
    if (left <= 0) this.onStale();
  }
}
