/** Results of the comparisons so far. @publicApi */
export interface CacheAuditReport {
  /** Copies that were compared, with a result: the next two together. */
  readonly checked: number;
  /** Equal to what the loader said. */
  readonly consistent: number;
  /** Different from it, and a second later the same copy still was. */
  readonly stale: number;
  /**
   * Different, but before that second was over an invalidation came or the copy
   * went: nothing wrong, or nothing that can be told.
   */
  readonly undecided: number;
  /** Invalidations not followed and comparisons not made, beyond the bounds. */
  readonly skipped: number;
  /** Comparisons that failed: in the loader, in `peek` or in `equals`. */
  readonly errors: number;
  /** `consistent` of `checked`; `null` before anything was. */
  readonly share: number | null;
  /**
   * How many nines of consistency that proves: 3 says that 99.9 % are consistent
   * or more, with 95 % confidence. None stale of `n` proves `log10(n / 3)` (the
   * rule of three): of 300 that is 2, and never infinitely many. It takes the
   * comparisons for independent.
   */
  readonly nines: number;
  /**
   * The stale ones, by {@link StaleCopy.staleFor}:
   * `{ 1000: 2, 3000: 1, 30000: 0 }` are two that had been stale for one second
   * at least, and one for three. Each comparison counts: a copy that stays stale
   * is in the first after 1 s, in the second after 5 and in the third after 60.
   */
  readonly histogram: Readonly<Record<number, number>>;
}

/** A cached copy that was found stale. @publicApi */
export interface StaleCopy {
  /** Its cache key. */
  readonly key: string;
  /**
   * Milliseconds that it has been stale at least: from the first comparison at
   * which this copy differed to the one that confirmed it now, those between
   * them having said the same. What was before the first is not known.
   */
  readonly staleFor: number;
}

/** In milliseconds; what is found is near 1, 5 or 60 s old, a little less or more. */
const BOUNDS_MS = [1_000, 3_000, 30_000];

/** The quantile of the normal distribution for 95 %, one-sided. */
const Z = 1.645;

/** Counts of the audits of all caches. @internal */
export class AuditCounts {
  consistent = 0;
  undecided = 0;
  skipped = 0;
  errors = 0;
  #stale = 0;
  readonly #histogram = Object.fromEntries(BOUNDS_MS.map((ms) => [ms, 0]));

  stale(staleFor: number): void {
    this.#stale++;
    const bound = BOUNDS_MS.findLast((ms) => ms <= staleFor) ?? BOUNDS_MS[0]!;
    this.#histogram[bound]! += 1;
  }

  report(): CacheAuditReport {
    const { consistent, undecided, skipped, errors } = this;
    const stale = this.#stale;
    const checked = consistent + stale;
    return {
      checked,
      consistent,
      stale,
      undecided,
      skipped,
      errors,
      share: checked === 0 ? null : consistent / checked,
      nines: ninesOf(checked, stale),
      histogram: { ...this.#histogram },
    };
  }
}

/** At least so many; with none stale a plain `-log10(1 - share)` would be infinite. */
function ninesOf(checked: number, stale: number): number {
  const worst = Math.min(1, upperBound(stale) / checked);
  return Math.max(0, -Math.log10(worst));
}

/**
 * How many rare events may have been due where so many were counted: 3.0 for
 * none, 4.7 for one (Poisson's upper bound, as Wilson and Hilferty come near it).
 */
function upperBound(count: number): number {
  const n = count + 1;
  return n * (1 - 1 / (9 * n) + Z / (3 * Math.sqrt(n))) ** 3;
}
