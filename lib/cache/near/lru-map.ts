/**
 * Entries of one table, if names are spread evenly. V8 grows and shrinks a table all at
 * once, which holds the event loop the longer the larger it is.
 */
const TABLE_SIZE = 16_384;
const TABLE_LIMIT = 256;

/**
 * A place in the order of use: between the entry used before it and the one used
 * after it.
 */
class Place {
  older: Place = this;
  newer: Place = this;
}

/**
 * An entry of an `LruMap`, which is itself its place in the order of use: a hit
 * allocates nothing, and an entry costs one object.
 *
 * @internal
 */
export class LruEntry extends Place {
  isHidden = false;
  /** Index of its table. */
  table = 0;

  constructor(
    readonly name: string,
    /** When it is not found any more, by the monotonic clock. */
    readonly expires: number,
  ) {
    super();
  }
}

/** Some of the entries, by name. */
class Table<E extends LruEntry> {
  entries = new Map<string, E>();
  /** How many of them are hidden. */
  hidden = 0;

  removeHidden(): void {
    const { entries } = this;
    if (this.hidden > entries.size / 2) {
      const left = this.hidden === entries.size ? [] : entries.values();
      this.entries = new Map();
      for (const entry of left) {
        if (!entry.isHidden) this.entries.set(entry.name, entry);
      }
    } else {
      for (const entry of entries.values()) {
        if (entry.isHidden) entries.delete(entry.name);
      }
    }
    this.hidden = 0;
  }
}

/**
 * A map that removes its least recently used entry when it is full. Expired
 * entries are removed when they are read.
 *
 * Removing entries from a table one by one costs more than all the rest of a sweep. So
 * `hide()` only takes an entry out of sight, and `tidy()` removes the hidden ones
 * later, a table at a time.
 *
 * @internal
 */
export class LruMap<E extends LruEntry> {
  readonly #tables: readonly Table<E>[];
  /** Closes the order of use to a ring: its newer neighbour is the oldest entry. */
  readonly #ends = new Place();
  #size = 0;

  constructor(private readonly max: number) {
    const tables = 2 ** Math.ceil(Math.log2(Math.max(1, max / TABLE_SIZE)));
    this.#tables = Array.from(
      { length: Math.min(tables, TABLE_LIMIT) },
      () => new Table(),
    );
  }

  /** Entries that are not hidden. */
  get size(): number {
    return this.#size;
  }

  /** Reads an entry and makes it the most recently used one. */
  get(name: string): E | undefined {
    const entry = this.peek(name);
    if (entry !== undefined && entry.newer !== this.#ends) {
      unlink(entry);
      link(entry, this.#ends);
    }
    return entry;
  }

  /** Reads an entry; not a use of it. */
  peek(name: string): E | undefined {
    const entry = this.#tableOf(name).entries.get(name);
    if (entry === undefined || entry.isHidden) return undefined;
    if (performance.now() < entry.expires) return entry;
    this.delete(name);
    return undefined;
  }

  /** Stores an entry as the most recently used one. */
  set(entry: E): void {
    entry.table = this.#indexOf(entry.name);
    const table = this.#tables[entry.table]!;
    this.#forget(table, table.entries.get(entry.name));
    table.entries.set(entry.name, entry);
    link(entry, this.#ends);
    if (++this.#size > this.max) this.#deleteOldest();
  }

  delete(name: string): void {
    const table = this.#tableOf(name);
    this.#forget(table, table.entries.get(name));
    table.entries.delete(name);
  }

  /** Takes an entry out of sight until `tidy()` removes it. */
  hide(entry: E): void {
    const table = this.#tables[entry.table]!;
    this.#forget(table, entry);
    entry.isHidden = true;
    table.hidden++;
  }

  /**
   * Removes the hidden entries of one table.
   *
   * @returns `false` if there are none
   */
  tidy(): boolean {
    const table = this.#tables.find(({ hidden }) => hidden > 0);
    table?.removeHidden();
    return table !== undefined;
  }

  /** Begins a visit of all entries; one at a time. */
  visit(): LruVisit<E> {
    return new LruVisit(this.#ends);
  }

  #tableOf(name: string): Table<E> {
    return this.#tables[this.#indexOf(name)]!;
  }

  #indexOf(name: string): number {
    if (this.#tables.length === 1) return 0;
    // At most 15 characters, from all over the name: names may share their ends.
    const step = 1 + (name.length >> 3);
    let hash = 0;
    for (let at = name.length - 1; at >= 0; at -= step) {
      hash = Math.imul(hash, 31) + name.charCodeAt(at);
    }
    // The lower bits alone would be those of the last characters.
    hash = Math.imul(hash, 0x9e3779b1) >>> 16;
    return hash & (this.#tables.length - 1);
  }

  /** An entry of a table is not counted any more. */
  #forget(table: Table<E>, entry: E | undefined): void {
    if (entry === undefined) return;
    if (entry.isHidden) {
      table.hidden--;
      return;
    }
    unlink(entry);
    this.#size--;
  }

  #deleteOldest(): void {
    let place = this.#ends.newer;
    // The two places of a visit are no entries.
    while (!(place instanceof LruEntry)) place = place.newer;
    this.delete(place.name);
  }
}

/**
 * Visits each entry that is there when it begins, the least recently used one
 * first, unless it is used, replaced or removed before its turn.
 *
 * @internal
 */
export class LruVisit<E extends LruEntry> {
  readonly #next = new Place();
  readonly #last = new Place();

  constructor(ends: Place) {
    link(this.#next, ends.newer);
    link(this.#last, ends);
  }

  /** The next entry, which may be removed; `null` when there is none any more. */
  next(): E | null {
    const entry = this.#next.newer;
    if (entry === this.#last) return null;
    unlink(this.#next);
    link(this.#next, entry.newer);
    return entry as E;
  }

  end(): void {
    unlink(this.#next);
    unlink(this.#last);
  }
}

function link(place: Place, newer: Place): void {
  const { older } = newer;
  place.older = older;
  place.newer = newer;
  older.newer = place;
  newer.older = place;
}

/** An unlinked place refers to nothing, so that it keeps no other entry alive. */
function unlink(place: Place): void {
  const { older, newer } = place;
  older.newer = newer;
  newer.older = older;
  place.older = place;
  place.newer = place;
}
