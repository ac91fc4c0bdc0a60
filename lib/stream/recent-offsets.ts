/**
 * The last offsets that were added: at least `limit` of them, and at most twice as many.
 * Two sets, since a set that loses its oldest member at each step must search for it.
 *
 * @internal
 */
export class RecentOffsets {
  #recent = new Set<string>();
  #older = new Set<string>();

  constructor(private readonly limit: number) {}

  add(offset: string): void {
    if (this.#recent.size >= this.limit) {
      this.#older = this.#recent;
      this.#recent = new Set();
    }
    this.#recent.add(offset);
  }

  has(offset: string): boolean {
    return this.#recent.has(offset) || this.#older.has(offset);
  }
}
