/** One go takes about so long, then whatever else waits has its turn. */
const STEP_MS = 3;
/** Entries between two looks at the clock. */
const CHUNK = 256;
/** Patterns at a time; beyond it, everything is evicted. */
const PATTERN_LIMIT = 1_000;
/** Entries beyond one pass; where reads move one, the pass begins anew. */
const SPARE = 2_000_000;

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
  /** Entries that it may still look at. */
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
    if (this.#next === null) this.#begin();
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
    this.#left = this.entries.size + SPARE;
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
      this.#left -= CHUNK;
      if (!this.#evictSome()) return this.#endPass();
    } while (performance.now() < end);
    this.#next = setImmediate(() => this.#step());
  }

  /** @returns `false` at the end of the pass */
  #evictSome(): boolean {
    for (let i = 0; i < CHUNK; i++) {
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
