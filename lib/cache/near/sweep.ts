import { loopBudget } from '../loop-budget.js';
import { sweepTurns } from './sweep-turns.js';

/** Time of one step; then the event loop continues with other work. */
const STEP_MS = 3;
/** Comparisons between two readings of the clock. */
const CHUNK = 64;
/** Patterns that may wait; every read is compared with each of them. */
const PATTERN_LIMIT = 1_000;
/** Comparisons beyond one for each entry: for more patterns and restarted passes. */
const SPARE_COMPARISONS = 4_000_000;
/** Steps of comparing one name with all patterns; beyond it the entry is evicted. */
const NAME_STEPS = 100_000;
/** Steps of a pattern that cost as much as one simple comparison. */
const STEPS = 64;
/** From this many entries on, patterns of one turn share a pass. */
const LARGE = 1_000;

/** A cache entry, tagged with the number of the last pattern before it was stored. */
interface Sweepable {
  readonly sweeps: number;
}

/** An `LRUCache`, as far as a sweep needs it. */
interface Entries {
  readonly size: number;
  keys(): Iterator<string>;
  peek(name: string): Sweepable | undefined;
  delete(name: string): boolean;
}

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
  #names: Iterator<string> | null = null;
  /** The entry at which the pass rests. */
  #rest: {
    readonly name: string;
    /** `undefined` once it has expired. */
    readonly entry: Sweepable | undefined;
  } | null = null;
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
    this.#startPass();
    this.#step();
  }

  #startPass(): void {
    this.#names = this.entries.keys();
    this.#rest = null;
  }

  #step(): void {
    this.#next = null;
    if (!this.#canGoOn()) this.#startPass();
    const end = performance.now() + STEP_MS;
    do {
      if (this.#left < 0) return this.onTooMuch();
      if (!this.#evictSome()) return this.#endPass();
    } while (performance.now() < end);
    this.#later(() => this.#step());
  }

  /** @returns `false` at the end of the pass */
  #evictSome(): boolean {
    let made = 0;
    while (made < CHUNK) {
      const { done, value: name } = this.#names!.next();
      this.#evictRest();
      if (done === true) return false;
      this.#rest = { name, entry: this.entries.peek(name) };
      made += this.#brooms.length + (this.#weight * name.length) / STEPS;
    }
    this.#left -= made;
    return true;
  }

  #endPass(): void {
    this.#brooms = [];
    if (this.#waiting.length > 0) this.#begin();
    else this.onDone();
  }

  /** Evicts the entry at which the pass rested, now that it has gone on. */
  #evictRest(): void {
    if (this.#rest === null) return;
    const { name, entry } = this.#rest;
    this.#rest = null;
    if (
      entry !== undefined &&
      isAnyAffecting(this.#brooms, this.#weight, name, entry.sweeps)
    ) {
      this.entries.delete(name);
    }
  }

  /**
   * Whether the iterator of the cache is still valid: it goes from an entry to its
   * neighbour, and misses entries if the one at which it rests has been removed.
   */
  #canGoOn(): boolean {
    return (
      this.#rest === null ||
      this.entries.peek(this.#rest.name) === this.#rest.entry
    );
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
