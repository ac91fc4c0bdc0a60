/**
 * A map that forgets its oldest entry when it is full. A fresh iterator has to
 * pass everything that was deleted before it finds the oldest one, so one is kept.
 *
 * @internal
 */
export class BoundedMap<V> {
  readonly #map = new Map<string, V>();
  #oldest: Iterator<string> | null = null;

  constructor(private readonly limit: number) {}

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  has(key: string): boolean {
    return this.#map.has(key);
  }

  /**
   * It is the newest entry from now on.
   *
   * @returns the value of the entry that was forgotten; `null` if there is room
   */
  set(key: string, value: V): V | null {
    this.#map.delete(key);
    this.#map.set(key, value);
    return this.#map.size > this.limit ? this.#forgetOldest() : null;
  }

  clear(): void {
    this.#map.clear();
    this.#oldest = null;
  }

  [Symbol.iterator](): Iterator<[string, V]> {
    return this.#map[Symbol.iterator]();
  }

  #forgetOldest(): V {
    this.#oldest ??= this.#map.keys();
    const key = this.#oldest.next().value as string;
    const value = this.#map.get(key)!;
    this.#map.delete(key);
    return value;
  }
}
