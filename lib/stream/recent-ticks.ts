/** Characters of all keys of one generation: an id may be as long as a message. */
const CHARACTERS = 8_388_608;

/**
 * The tick of each of the latest keys. They are kept in two generations: when the
 * newer one is full, the older one is forgotten as a whole, since removing single
 * keys from a large `Map` costs more than all else.
 *
 * @internal
 */
export class RecentTicks {
  #older = new Generation();
  #newer = new Generation();

  /** @param limit keys that it remembers at the least; twice as many at most */
  constructor(private readonly limit: number) {}

  get(key: string): number | undefined {
    return this.#newer.ticks.get(key) ?? this.#older.ticks.get(key);
  }

  has(key: string): boolean {
    return this.#newer.ticks.has(key) || this.#older.ticks.has(key);
  }

  /** @returns the latest tick of the keys that were forgotten; `null` if none were */
  set(key: string, tick: number): number | null {
    const newer = this.#newer;
    newer.set(key, tick);
    if (newer.ticks.size < this.limit && newer.characters <= CHARACTERS) {
      return null;
    }
    const forgotten = this.#older;
    this.#older = newer;
    this.#newer = new Generation();
    return forgotten.ticks.size > 0 ? forgotten.latest : null;
  }

  clear(): void {
    this.#older = new Generation();
    this.#newer = new Generation();
  }

  /** Keys with their ticks; one that was set again may come twice, its latest tick last. */
  *[Symbol.iterator](): Iterator<[string, number]> {
    yield* this.#older.ticks;
    yield* this.#newer.ticks;
  }
}

class Generation {
  readonly ticks = new Map<string, number>();
  /** Characters of all keys. */
  characters = 0;
  latest = -Infinity;

  set(key: string, tick: number): void {
    const { size } = this.ticks;
    this.ticks.set(key, tick);
    if (this.ticks.size > size) this.characters += key.length;
    if (tick > this.latest) this.latest = tick;
  }
}
