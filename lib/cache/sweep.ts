/** One go takes about so long, then whatever else waits has its turn. */
const STEP_MS = 3;
/** Comparisons between two looks at the clock. */
const CHUNK = 64;
/** Patterns at a time, each of which every read is compared with. */
const PATTERN_LIMIT = 1_000;
/** Beyond one for each entry: for more patterns, and for passes begun anew. */
const SPARE_COMPARISONS = 4_000_000;
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
  #next: NodeJS.Immediate | null = null;

  constructor(
    private readonly entries: Entries,
    private readonly onDone: () => void,
    /** It would take too long: everything is to be evicted. */
    private readonly onTooMuch: () => void,
  ) {}

  add(broom: Broom): void {
    this.#waiting.push(broom);
    if (this.#waiting.length > PATTERN_LIMIT) return this.onTooMuch();
    if (this.#next !== null) return;
    if (this.entries.size < LARGE) this.#begin();
    else this.#next = setImmediate(() => this.#begin());
  }

  /** Whether what was stored when so many patterns had come is to be evicted. */
  concerns(name: string, sweeps: number): boolean {
    return (
      isAnyAffecting(this.#brooms, name, sweeps) ||
      isAnyAffecting(this.#waiting, name, sweeps)
    );
  }

  stop(): void {
    if (this.#next !== null) clearImmediate(this.#next);
  }

  #begin(): void {
    this.#brooms = this.#waiting;
    this.#waiting = [];
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
      this.#left -= Math.max(CHUNK, this.#brooms.length);
      if (!this.#evictSome()) return this.#endPass();
    } while (performance.now() < end);
    this.#next = setImmediate(() => this.#step());
  }

  /** @returns `false` at the end of the pass */
  #evictSome(): boolean {
    for (let made = 0; made < CHUNK; made += this.#brooms.length) {
      const { done, value: name } = this.#names!.next();
      this.#evictRest();
      if (done === true) return false;
      this.#rest = { name, entry: this.entries.peek(name) };
    }
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
      isAnyAffecting(this.#brooms, name, entry.sweeps)
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
  name: string,
  sweeps: number,
): boolean {
  for (const { isAffected, number } of brooms) {
    if (sweeps < number && isAffected(name)) return true;
  }
  return false;
}
