import { loopBudget } from '../loop-budget.js';
import { sweepTurns } from './sweep-turns.js';

/** One go takes about so long, then whatever else waits has its turn. */
const STEP_MS = 3;
/** Comparisons between two looks at the clock. */
const CHUNK = 64;
/** Patterns at a time, each of which every read is compared with. */
const PATTERN_LIMIT = 1_000;
/** Beyond one for each entry: for more patterns, and for passes begun anew. */
const SPARE_COMPARISONS = 4_000_000;
/** What comparing one name with all patterns may cost; beyond it the entry goes. */
const NAME_STEPS = 100_000;
/** Steps of a pattern that take as long as one simple comparison. */
const STEPS = 64;
/** With so many entries, patterns that come together have one pass. */
const LARGE = 1_000;

/** An entry, by the number of patterns that had come when it was stored. */
interface Sweepable {
  readonly sweeps: number;
}

/** An `LRUCache`, as far as it is needed here. */
interface Entries {
  readonly size: number;
  keys(): Iterator<string>;
  peek(name: string): Sweepable | undefined;
  delete(name: string): boolean;
}

/** One pattern. */
interface Broom {
  readonly isAffected: (name: string) => boolean;
  /** Its steps for each character of a name. */
  readonly weight: number;
  /** Of all that have come: what was stored later is not its concern. */
  readonly number: number;
}

/**
 * Evicts what patterns match from a cache of any size: at once from a small one,
 * from a large one in steps. Until it is done, readers ask `concerns` of what
 * they find; patterns that come meanwhile have the next pass.
 *
 * @internal
 */
export class Sweep {
  #brooms: Broom[] = [];
  #waiting: Broom[] = [];
  #names: Iterator<string> | null = null;
  /** Where the pass rests. */
  #rest: {
    readonly name: string;
    /** `undefined` once it has expired. */
    readonly entry: Sweepable | undefined;
  } | null = null;
  /** Comparisons that it may still make. */
  #left = 0;
  /** The weight of all patterns of this pass, and of those that wait. */
  #weight = 0;
  #waitingWeight = 0;
  /** What the next turn of the event loop is for; `null` if for nothing. */
  #next: (() => void) | null = null;

  constructor(
    private readonly entries: Entries,
    private readonly onDone: () => void,
    /** It would take too long: everything is to be evicted. */
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

  /** Whether what was stored when so many patterns had come is to be evicted. */
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

  /** Only now that the pass has gone on from it. */
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
   * The cache's iterator goes from an entry to its neighbour: if the one at
   * which it rests has gone, the way from there leads anywhere.
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
