import { CacheStaleError } from '../errors/index.js';
import type { EntityType } from '../message/index.js';
import type { Fence } from '../stream/index.js';
import type { PositionSource } from './position-source.js';
import type { ResolvedStaleness } from './staleness.options.js';

/**
 * The position of this instance, as a cache with `maxStaleness` sees it: without proof
 * for longer than that, nothing may be served or kept. The clock decides at each
 * reading, since timers of a process that was frozen are late.
 *
 * @internal
 */
export class StalenessBound {
  readonly #max: number;

  constructor(
    private readonly source: PositionSource,
    private readonly options: ResolvedStaleness,
    /** Name of the cache, for errors. */
    private readonly cache: string,
    /** `null` for a bound cache. */
    entityType: EntityType | null,
  ) {
    this.#max = options.maxStaleness;
    source.boundStaleness(cache, this.#max, entityType);
  }

  get position(): string | null {
    return this.source.position;
  }

  get bypass(): boolean {
    return this.source.bypass || this.source.withoutProof >= this.#max;
  }

  /** The error of a read at this moment; `null` if it may be answered, or may load. */
  get failure(): CacheStaleError | null {
    if (this.options.whenStale !== 'fail') return null;
    const { withoutProof } = this.source;
    return withoutProof < this.#max
      ? null
      : new CacheStaleError(this.cache, withoutProof, this.#max);
  }

  /**
   * Whether entries may be served at this moment.
   *
   * @throws CacheStaleError where reads must fail
   */
  mayServe(): boolean {
    const { failure } = this;
    if (failure !== null) throw failure;
    return !this.bypass;
  }

  /** A fence that no longer holds once the value is older than the bound, for all that is known. */
  fence(): Fence {
    const fence = this.source.fence();
    const taken = performance.now();
    return {
      holds: (...keys) =>
        (performance.now() - taken < this.#max ||
          this.source.withoutProof < this.#max) &&
        fence.holds(...keys),
    };
  }
}
