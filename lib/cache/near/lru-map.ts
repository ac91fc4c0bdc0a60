/** Entries that are copied to a new table at once, in some milliseconds. */
const FEW = 20_000;
/** Entries that one call of `tidy()` removes. */
const PORTION = 64;

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

  constructor(
    readonly name: string,
    /** When it is not found any more, by the monotonic clock. */
    readonly expires: number,
  ) {
    super();
  }
}

/**
 * A map that removes its least recently used entry when it is full. Expired
 * entries are removed when they are read.
 *
 * Removing an entry of a large `Map` costs 450 ns, and halves its table now and
 * then, which holds the event loop for 50 ms at a million entries. So `hide()` only
 * takes an entry out of sight, and `tidy()` removes hidden ones later: in small
 * portions, or all at once where few are left.
 *
 * @internal
 */
export class LruMap<E extends LruEntry> {
  #entries = new Map<string, E>();
  /** Closes the order of use to a ring: its newer neighbour is the oldest entry. */
  readonly #ends = new Place();
  /** Closes a ring of the hidden entries. */
  #hidden = new Place();
  #size = 0;

  constructor(private readonly max: number) {}

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
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.isHidden) return undefined;
    if (performance.now() < entry.expires) return entry;
    this.delete(name);
    return undefined;
  }

  /** Stores an entry as the most recently used one. */
  set(entry: E): void {
    const former = this.#entries.get(entry.name);
    if (former !== undefined) this.#unlink(former);
    this.#entries.set(entry.name, entry);
    link(entry, this.#ends);
    if (++this.#size > this.max) this.#deleteOldest();
  }

  delete(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#unlink(entry);
  }

  /** Takes an entry out of sight until `tidy()` removes it. */
  hide(entry: E): void {
    this.#unlink(entry);
    entry.isHidden = true;
    link(entry, this.#hidden);
  }

  /**
   * Removes some hidden entries.
   *
   * @returns whether there are more
   */
  tidy(): boolean {
    const hidden = this.#entries.size - this.#size;
    if (hidden > this.#size && this.#size <= FEW) this.#keepVisible();
    for (let left = PORTION; left > 0; left--) {
      const entry = this.#hidden.newer;
      if (!(entry instanceof LruEntry)) return false;
      this.delete(entry.name);
    }
    return true;
  }

  /** Begins a visit of all entries; one at a time. */
  visit(): LruVisit<E> {
    return new LruVisit(this.#ends);
  }

  #keepVisible(): void {
    this.#entries = new Map();
    this.#hidden = new Place();
    for (let at = this.#ends.newer; at !== this.#ends; at = at.newer) {
      if (at instanceof LruEntry) this.#entries.set(at.name, at as E);
    }
  }

  #deleteOldest(): void {
    let place = this.#ends.newer;
    // The two places of a visit are no entries.
    while (!(place instanceof LruEntry)) place = place.newer;
    this.delete(place.name);
  }

  #unlink(entry: E): void {
    unlink(entry);
    if (!entry.isHidden) this.#size--;
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
