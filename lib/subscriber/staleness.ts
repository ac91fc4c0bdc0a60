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

/** A source whose changes this instance must receive. */
interface WatchedSource {
  readonly isRegion: boolean;
  /** Milliseconds from one proof to the next, in addition to heartbeats of Redis. */
  readonly period: number;
  /** The last proof, by `performance.now()`; `null` before the first. */
  provenAt: number | null;
}

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
  readonly #sources = new Map<string, WatchedSource>();
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
  /** Whether anything is received; a publisher receives nothing, from no source. */
  readonly #receives: boolean;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    options: {
      readonly maxStaleness: number;
      readonly whenStale: StalePolicy;
      readonly role?: InvalidationRole;
    } & WatchedRegions,
  ) {
    this.#receives = options.role !== 'publisher';
    for (const source of Object.keys(options.regions?.sources ?? {})) {
      this.#watchSource(source, true, 0);
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

  /**
   * Counts a source that is no region from now on.
   *
   * @param period milliseconds from one proof to the next
   */
  watch(source: string, period: number): void {
    this.#watchSource(source, false, period);
  }

  /** Requests are served from now on. */
  serve(): void {
    this.#serving = true;
  }

  /** Whether the bound is exceeded right now. */
  get exceeded(): boolean {
    return this.#bound > 0 && this.withoutProof >= this.#bound;
  }

  /** Age of the oldest proof of all sources, in milliseconds; `Infinity` before the first proof. */
  get age(): number {
    const ages = [...this.#sources.values()].map(ageOf);
    return Math.max(this.ownAge, ...ages);
  }

  /** Age of this region's own proof. */
  get ownAge(): number {
    return ageSince(this.#provenAt);
  }

  /** Age of a source's proof; `undefined` for what is no source. */
  ageOf(source: string): number | undefined {
    const watched = this.#sources.get(source);
    return watched === undefined ? undefined : ageOf(watched);
  }

  /** Age of the proof of every region that is a source, by its name. */
  get regionAges(): [source: string, age: number][] {
    return [...this.#sources]
      .filter(([, { isRegion }]) => isRegion)
      .map(([source, watched]) => [source, ageOf(watched)]);
  }

  /** The names of all sources. */
  get sources(): string[] {
    return [...this.#sources.keys()];
  }

  isRegion(source: string): boolean {
    return this.#sources.get(source)?.isRegion === true;
  }

  /** Begins to watch the bound. */
  start(onExceeded: () => void): void {
    this.#onExceeded = onExceeded;
    this.#since = performance.now();
    this.#watch();
  }

  /**
   * @param asOf what `performance.now()` said when the proof was begun
   * @param source the source that was proven; this region itself if absent
   */
  proven(asOf: number, source?: string): void {
    if (source === undefined) {
      this.#provenAt = Math.max(asOf, this.#provenAt ?? asOf);
    } else {
      const watched = this.#sources.get(source);
      if (watched === undefined) return;
      watched.provenAt = Math.max(asOf, watched.provenAt ?? asOf);
    }
    if (this.#timer === null) this.#watch();
  }

  stop(): void {
    this.#serving = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#provenAt = null;
    for (const watched of this.#sources.values()) watched.provenAt = null;
    this.#since = null;
  }

  /** Milliseconds without a proof of a source, since the last one or the start. */
  unproven(source: string): number {
    const { provenAt } = this.#sources.get(source) ?? {};
    return Math.max(
      0,
      performance.now() - (provenAt ?? this.#since ?? Infinity),
    );
  }

  /** Milliseconds from one proof of a source to the next, beside heartbeats of Redis. */
  periodOf(source: string): number {
    return this.#sources.get(source)?.period ?? 0;
  }

  /**
   * Milliseconds without a proof, of the source that has waited the longest. Caches ask
   * at each read.
   */
  get withoutProof(): number {
    const start = this.#since ?? Infinity;
    let oldest = this.#provenAt ?? start;
    for (const { provenAt } of this.#sources.values()) {
      oldest = Math.min(oldest, provenAt ?? start);
    }
    return Math.max(0, performance.now() - oldest);
  }

  #watchSource(source: string, isRegion: boolean, period: number): void {
    if (!this.#receives) return;
    this.#sources.set(source, { isRegion, period, provenAt: null });
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
      Math.max(1, Math.ceil(this.#bound - this.withoutProof)),
    ).unref();
  }
}

function ageSince(provenAt: number | null): number {
  return provenAt === null ? Infinity : performance.now() - provenAt;
}

function ageOf({ provenAt }: WatchedSource): number {
  return ageSince(provenAt);
}
