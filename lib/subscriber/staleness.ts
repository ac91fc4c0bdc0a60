import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import type { InvalidationRole } from '../common/index.js';

/** @internal */
export interface WatchedRegions {
  readonly regions?:
    { readonly sources: Readonly<Record<string, unknown>> } | undefined;
}

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
  /** The last proof of each source, by `performance.now()`; `null` before the first. */
  readonly #regions = new Map<string, number | null>();
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
      readonly role?: InvalidationRole;
    } & WatchedRegions,
  ) {
    // A publisher receives nothing, from no region.
    if (options.role !== 'publisher') {
      for (const source of sourcesOf(options)) this.#regions.set(source, null);
    }
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

  /** Age of the oldest proof of all regions, in milliseconds; `Infinity` before the first proof. */
  get age(): number {
    return Math.max(this.ownAge, ...[...this.#regions.values()].map(ageSince));
  }

  /** Age of this region's own proof. */
  get ownAge(): number {
    return ageSince(this.#provenAt);
  }

  /** Age of a source's proof; `undefined` for a region that is no source. */
  ageOf(source: string): number | undefined {
    const provenAt = this.#regions.get(source);
    return provenAt === undefined ? undefined : ageSince(provenAt);
  }

  /** Age of every source's proof, by the name of the source. */
  get ages(): [source: string, age: number][] {
    return [...this.#regions].map(([source, at]) => [source, ageSince(at)]);
  }

  /** Begins to watch the bound. */
  start(onExceeded: () => void): void {
    this.#onExceeded = onExceeded;
    this.#since = performance.now();
    this.#watch();
  }

  /**
   * @param asOf what `performance.now()` said when the proof was begun
   * @param source the region that was proven; this one if absent
   */
  proven(asOf: number, source?: string): void {
    if (source === undefined) {
      this.#provenAt = Math.max(asOf, this.#provenAt ?? asOf);
    } else if (this.#regions.has(source)) {
      const before = this.#regions.get(source) ?? asOf;
      this.#regions.set(source, Math.max(asOf, before));
    }
    if (this.#timer === null) this.#watch();
  }

  stop(): void {
    this.#serving = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#provenAt = null;
    for (const source of this.#regions.keys()) this.#regions.set(source, null);
    this.#since = null;
  }

  /** Milliseconds without a proof of a source, since the last one or the start. */
  unproven(source: string): number {
    return this.#without([this.#regions.get(source) ?? null]);
  }

  /** Milliseconds without a proof, of the region that has waited the longest. */
  get #unproven(): number {
    return this.#without([this.#provenAt, ...this.#regions.values()]);
  }

  #without(proofs: (number | null)[]): number {
    const start = this.#since;
    const since = proofs.map((provenAt) => provenAt ?? start ?? Infinity);
    return Math.max(0, performance.now() - Math.min(...since));
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

function ageSince(provenAt: number | null): number {
  return provenAt === null ? Infinity : performance.now() - provenAt;
}

function sourcesOf({ regions }: WatchedRegions): string[] {
  return Object.keys(regions?.sources ?? {});
}
