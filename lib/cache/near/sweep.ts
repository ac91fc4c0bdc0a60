import { loopBudget } from '../loop-budget.js';
import type { LruEntry, LruMap, LruVisit } from './lru-map.js';
import { sweepTurns } from './sweep-turns.js';

/** Time of one step; then the event loop continues with other work. */
const STEP_MS = 3;
/** Comparisons between two readings of the clock. */
const CHUNK = 64;
/** Patterns that may wait; every read is compared with each of them. */
const PATTERN_LIMIT = 1_000;
/** Comparisons beyond one for each entry: for passes with more than one pattern. */
const SPARE_COMPARISONS = 4_000_000;
/** Steps of comparing one name with all patterns; beyond it the entry is evicted. */
const NAME_STEPS = 100_000;
/** Steps of a pattern that cost as much as one simple comparison. */
const STEPS = 64;
/** From this many entries on, patterns of one turn share a pass. */
const LARGE = 1_000;

/** A cache entry, tagged with the number of the last pattern before it was stored. */
type Sweepable = LruEntry & { readonly sweeps: number };

/** An `LruMap`, as far as a sweep needs it. */
type Entries = Pick<LruMap<Sweepable>, 'size' | 'visit' | 'hide' | 'tidy'>;

/** A pattern whose matches are evicted. */
interface Broom {
  readonly isAffected: (name: string) => boolean;
  /** Steps of a comparison for each character of a name. */
  readonly weight: number;
  /** Counts up with each pattern: entries stored later are not affected. */
  readonly number: number;
}

/**
 * Evicts the entries that patterns match: at once from a small cache, in steps from
 * a large one. Until it has finished, readers check the entries they find with
 * `concerns()`; patterns that arrive meanwhile wait for the next pass.
 *
 * @internal
 */
export class Sweep {
  #brooms: Broom[] = [];
  #waiting: Broom[] = [];
  #pass: LruVisit<Sweepable> | null = null;
  /** Comparisons left for this pass. */
  #left = 0;
  /** Sums of the weights of this pass's patterns, and of those that wait. */
  #weight = 0;
  #waitingWeight = 0;
  /** The step that waits for its turn of the event loop. */
  #next: (() => void) | null = null;

  constructor(
    private readonly entries: Entries,
    private readonly onDone: () => void,
    /** Called if a sweep would take too long: evict everything instead. */
    private readonly onTooMuch: () => void,
  ) {}

  add(broom: Broom): void {
    this.#waiting.push(broom);
    this.#waitingWeight += broom.weight;
    if (this.#waiting.length > PATTERN_LIMIT) return this.onTooMuch();
    if (this.#next !== null) return;
    if (this.entries.size >= LARGE) return this.#later(() => this.#begin());
    const now = performance.now();
    if (loopBudget.left(now) <= 0) return this.#later(() => this.#begin());
    this.#begin();
    loopBudget.spend(performance.now() - now);
  }

  /** Whether an entry with this tag is to be evicted. */
  concerns(name: string, sweeps: number): boolean {
    return (
      isAnyAffecting(this.#brooms, this.#weight, name, sweeps) ||
      isAnyAffecting(this.#waiting, this.#waitingWeight, name, sweeps)
    );
  }

  stop(): void {
    this.#pass?.end();
    if (this.#next !== null) sweepTurns.remove(this.#next);
  }

  #later(step: () => void): void {
    this.#next = step;
    sweepTurns.add(step);
  }

  #begin(): void {
    this.#next = null;
    this.#brooms = this.#waiting;
    this.#waiting = [];
    this.#weight = this.#waitingWeight;
    this.#waitingWeight = 0;
    const { size } = this.entries;
    this.#left = size + SPARE_COMPARISONS;
    if (size * this.#brooms.length > this.#left) return this.onTooMuch();
    this.#pass = this.entries.visit();
    this.#step();
  }

  #step(): void {
    this.#next = null;
    const end = performance.now() + STEP_MS;
    do {
      if (this.#left < 0) return this.onTooMuch();
      if (!this.#evictSome() && !this.entries.tidy()) return this.#endPass();
    } while (performance.now() < end);
    this.#later(() => this.#step());
  }

  /** @returns `false` at the end of the pass */
  #evictSome(): boolean {
    let made = 0;
    while (made < CHUNK) {
      const entry = this.#pass!.next();
      if (entry === null) return false;
      const { name, sweeps } = entry;
      if (isAnyAffecting(this.#brooms, this.#weight, name, sweeps)) {
        this.entries.hide(entry);
      }
      made += this.#brooms.length + (this.#weight * name.length) / STEPS;
    }
    this.#left -= made;
    return true;
  }

  #endPass(): void {
    this.#pass!.end();
    this.#brooms = [];
    if (this.#waiting.length > 0) this.#begin();
    else this.onDone();
  }
}

function isAnyAffecting(
  brooms: readonly Broom[],
  weight: number,
  name: string,
  sweeps: number,
): boolean {
  if (weight * name.length > NAME_STEPS) {
    return sweeps < (brooms.at(-1)?.number ?? 0);
  }
  for (const { isAffected, number } of brooms) {
    if (sweeps < number && isAffected(name)) return true;
  }
  return false;
}
