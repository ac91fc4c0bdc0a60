/** @publicApi */
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
   * The stale ones, by how long they had been stale at least, in milliseconds:
   * `{ 0: 0, 1000: 2, 5000: 1, 60000: 0 }` are two for a second to five, and one
   * for five seconds to sixty. What is measured is in {@link StaleCopy.staleFor}.
   */
  readonly histogram: Readonly<Record<number, number>>;
}

/** A cached copy that was found stale. @publicApi */
export interface StaleCopy {
  /** Its cache key. */
  readonly key: string;
  /**
   * Milliseconds from the last invalidation of this key that was delivered here
   * to the comparison that confirmed it: the copy has been stale for as long at
   * least, if that invalidation announced the change. (Of a change that nobody
   * announced it cannot be told when it was made.) Where that last one was a
   * pattern, from the first comparison that differed.
   */
  readonly staleFor: number;
}

/** Lower bounds in milliseconds: when is looked, and what is sooner. */
const BOUNDS_MS = [0, 1_000, 5_000, 60_000];

/** The quantile of the normal distribution for 95 %, one-sided. */
const Z = 1.645;

/** What the audits of all caches counted. @internal */
export class AuditCounts {
  consistent = 0;
  undecided = 0;
  skipped = 0;
  errors = 0;
  #stale = 0;
  readonly #histogram = Object.fromEntries(BOUNDS_MS.map((ms) => [ms, 0]));

  stale(staleFor: number): void {
    this.#stale++;
    const bound = BOUNDS_MS.findLast((ms) => ms <= staleFor) ?? 0;
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
