import { copyText, familyOf, isFamily } from '../message/index.js';
import type { MarkPosition } from './mark-position.js';

/** Names of one cache; beyond it, their families count. */
const LIMIT = 10_000;

/**
 * Cache keys and families (`''` for everything) that were invalidated at a position
 * which the replica may not have passed.
 *
 * @internal
 */
export class Marks {
  readonly #positions: Map<string, MarkPosition>;
  /** Families of the names. */
  readonly #families: Set<string>;

  constructor(positions: Iterable<[string, MarkPosition]> = []) {
    this.#positions = new Map(positions);
    this.#families = new Set([...this.#positions.keys()].map(familyOf));
  }

  get size(): number {
    return this.#positions.size;
  }

  get positions(): Iterable<MarkPosition> {
    return this.#positions.values();
  }

  get entries(): Iterable<[string, MarkPosition]> {
    return this.#positions;
  }

  /** @param names cache keys and families */
  covers(names: readonly string[]): boolean {
    if (this.#positions.has('')) return true;
    return names.some((name) => {
      if (name === '') return true;
      if (isFamily(name)) return this.#families.has(name);
      return this.#positions.has(name) || this.#positions.has(familyOf(name));
    });
  }

  /** @param later tells the later of two positions */
  add(
    name: string,
    position: MarkPosition,
    later: (one: MarkPosition, other: MarkPosition) => MarkPosition,
  ): void {
    const marked = this.#positions.get(name);
    if (marked === undefined && this.#positions.size >= LIMIT) {
      this.#collapse(later);
      return this.add(
        this.#positions.has('') ? '' : familyOf(name),
        position,
        later,
      );
    }
    // A part of a message's text would keep all of it in memory.
    const kept = copyText(name);
    this.#positions.set(
      kept,
      marked === undefined ? position : later(marked, position),
    );
    this.#families.add(copyText(familyOf(kept)));
  }

  /** Keys become their families; if there are too many of those, everything. */
  #collapse(
    later: (one: MarkPosition, other: MarkPosition) => MarkPosition,
  ): void {
    // Half of the room at least becomes free, so that not every other name collapses it.
    const coarser = this.#families.size < LIMIT / 2 ? familyOf : () => '';
    const all = [...this.#positions];
    this.#positions.clear();
    this.#families.clear();
    for (const [name, position] of all)
      this.add(coarser(name), position, later);
  }
}
