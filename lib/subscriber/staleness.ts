/** What to do when `maxStaleness` is exceeded. @publicApi */
export type StalePolicy = 'serve' | 'widen';

/**
 * How long ago this instance last knew that it had heard everything, and a bound
 * on that.
 *
 * @internal
 */
export class Staleness {
  #provenAt: number | null = null;
  #since = 0;
  #timer: NodeJS.Timeout | null = null;
  #exceeded = false;

  constructor(
    /** In milliseconds; 0 for no bound. */
    private readonly bound: number,
    private readonly onExceeded: () => void,
  ) {}

  /** Whether the bound is exceeded. */
  get exceeded(): boolean {
    return this.#exceeded;
  }

  /** In milliseconds; `Infinity` before the first proof. */
  get age(): number {
    return this.#provenAt === null
      ? Infinity
      : performance.now() - this.#provenAt;
  }

  /** Begins to watch the bound. */
  start(): void {
    this.#since = performance.now();
    this.#watch();
  }

  /** @param asOf what `performance.now()` said when the proof was begun */
  proven(asOf: number): void {
    this.#provenAt = Math.max(asOf, this.#provenAt ?? asOf);
    this.#exceeded = false;
    if (this.#timer === null) this.#watch();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#provenAt = null;
  }

  /** One timer, which looks again when it fires, and not one for each proof. */
  #watch(): void {
    if (this.bound === 0) return;
    const age = performance.now() - (this.#provenAt ?? this.#since);
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        if (performance.now() - (this.#provenAt ?? this.#since) < this.bound) {
          return this.#watch();
        }
        this.#exceeded = true;
        this.onExceeded();
      },
      Math.max(1, Math.ceil(this.bound - age)),
    );
  }
}
