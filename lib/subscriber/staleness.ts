/** The behaviour beyond `maxStaleness`. @publicApi */
export type StalePolicy = 'serve' | 'widen';

/**
 * How long ago this instance last knew that it had heard everything, and a bound
 * on that. Whoever reads is told by the clock whether the bound is exceeded: in a
 * process that was frozen, timers are late.
 *
 * @internal
 */
export class Staleness {
  #provenAt: number | null = null;
  /** When watching began; `null` while nothing is watched. */
  #since: number | null = null;
  /** `null` once the bound was reported as exceeded. */
  #timer: NodeJS.Timeout | null = null;

  constructor(
    /** In milliseconds; 0 for no bound. */
    private readonly bound: number,
    private readonly onExceeded: () => void,
  ) {}

  /** Whether the bound is exceeded right now. */
  get exceeded(): boolean {
    return this.bound > 0 && this.#unproven >= this.bound;
  }

  /** In milliseconds; `Infinity` before the first proof. */
  get age(): number {
    return this.#provenAt === null ? Infinity : this.#unproven;
  }

  /** Begins to watch the bound. */
  start(): void {
    this.#since = performance.now();
    this.#watch();
  }

  /** @param asOf what `performance.now()` said when the proof was begun */
  proven(asOf: number): void {
    this.#provenAt = Math.max(asOf, this.#provenAt ?? asOf);
    if (this.#timer === null) this.#watch();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#provenAt = null;
    this.#since = null;
  }

  /** Milliseconds without a proof, since the last one or the start. */
  get #unproven(): number {
    const since = this.#provenAt ?? this.#since;
    return since === null ? 0 : performance.now() - since;
  }

  /** One timer, which looks again when it fires, and not one for each proof. */
  #watch(): void {
    if (this.bound === 0) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        if (this.exceeded) this.onExceeded();
        else this.#watch();
      },
      Math.max(1, Math.ceil(this.bound - this.#unproven)),
    ).unref();
  }
}
