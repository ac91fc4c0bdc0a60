import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';

/** The behaviour beyond `maxStaleness`. @publicApi */
export type StalePolicy = 'serve' | 'widen';

/**
 * How long ago this instance last knew that it had received everything, and a bound
 * on that. The bound is checked by the clock at each reading: in a process that was
 * frozen, timers are late.
 *
 * @internal
 */
@Injectable()
export class Staleness {
  #provenAt: number | null = null;
  /** When watching began; `null` while nothing is watched. */
  #since: number | null = null;
  /** `null` once the bound was reported as exceeded. */
  #timer: NodeJS.Timeout | null = null;

  #onExceeded = (): void => {};
  /** Whether requests may be served: this instance was live, or has given up waiting. */
  #serving = false;
  /** In milliseconds; 0 for no bound. */
  readonly #bound: number;
  readonly #widens: boolean;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    options: {
      readonly maxStaleness: number;
      readonly whenStale: StalePolicy;
    },
  ) {
    this.#bound = options.maxStaleness;
    this.#widens = options.whenStale === 'widen';
  }

  /**
   * Whether caches should be bypassed: nothing proves that this instance has
   * received everything, and `whenStale` is `widen`; or nothing is received,
   * before the start, after the end, or where the module is switched off.
   */
  get bypass(): boolean {
    return !this.#serving || (this.#widens && this.exceeded);
  }

  /** Requests are served from now on. */
  serve(): void {
    this.#serving = true;
  }

  /** Whether the bound is exceeded right now. */
  get exceeded(): boolean {
    return this.#bound > 0 && this.#unproven >= this.#bound;
  }

  /** In milliseconds; `Infinity` before the first proof. */
  get age(): number {
    return this.#provenAt === null ? Infinity : this.#unproven;
  }

  /** Begins to watch the bound. */
  start(onExceeded: () => void): void {
    this.#onExceeded = onExceeded;
    this.#since = performance.now();
    this.#watch();
  }

  /** @param asOf what `performance.now()` said when the proof was begun */
  proven(asOf: number): void {
    this.#provenAt = Math.max(asOf, this.#provenAt ?? asOf);
    if (this.#timer === null) this.#watch();
  }

  stop(): void {
    this.#serving = false;
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
    if (this.#bound === 0) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        if (this.exceeded) this.#onExceeded();
        else this.#watch();
      },
      Math.max(1, Math.ceil(this.#bound - this.#unproven)),
    ).unref();
  }
}
