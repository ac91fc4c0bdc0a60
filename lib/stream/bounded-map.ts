/** Characters of all keys of one map: an id may be as long as a message. */
const CHARACTERS = 16_777_216;

/**
 * A map that forgets its oldest entries when it is full. It keeps one iterator, since
 * a fresh one has to skip all deleted entries before it finds the oldest.
 *
 * @internal
 */
export class BoundedMap<V> {
  readonly #map = new Map<string, V>();
  #oldest: Iterator<string> | null = null;
  /** Characters of all keys. */
  #characters = 0;

  constructor(private readonly limit: number) {}

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  has(key: string): boolean {
    return this.#map.has(key);
  }

  /**
   * Sets an entry, which becomes the newest one.
   *
   * @returns the value of the last entry that was forgotten; `null` if none was
   */
  set(key: string, value: V): V | null {
    if (!this.#map.delete(key)) this.#characters += key.length;
    this.#map.set(key, value);
    let forgotten: V | null = null;
    while (this.#map.size > this.limit || this.#characters > CHARACTERS) {
      forgotten = this.#forgetOldest();
    }
    return forgotten;
  }

  clear(): void {
    this.#map.clear();
    this.#oldest = null;
    this.#characters = 0;
  }

  [Symbol.iterator](): Iterator<[string, V]> {
    return this.#map[Symbol.iterator]();
  }

  #forgetOldest(): V {
    this.#oldest ??= this.#map.keys();
    const key = this.#oldest.next().value as string;
    const value = this.#map.get(key)!;
    this.#map.delete(key);
    this.#characters -= key.length;
    return value;
  }
}
