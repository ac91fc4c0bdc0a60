import {
  batch,
  contentOf,
  entity,
  escapePattern,
  everything,
  isCacheKey,
  keyOf,
  keysOf,
  parseCacheKey,
  patternOf,
  prefixesOf,
  type EntityType,
  type Invalidation,
} from '../../message/index.js';

/** More than so many times `bulk` keys collapse to their types: all leave in one call. */
const MAX_BULKS = 16;
/** More types than this collapse to everything. */
const MAX_FAMILIES = 256;

/**
 * The invalidations of one transaction, merged. Of each entity type it keeps at most
 * `bulk` keys, and the type in their place from then on, so that its size does not grow
 * with the transaction.
 *
 * @internal
 */
export class ChangeSet {
  /** Cache keys by their family, the part before the colon; `null` for the whole family. */
  readonly #families = new Map<string, Set<string> | null>();
  /** Patterns and messages with content of their own, by that content. */
  readonly #others = new Map<string, Invalidation>();
  #isEverything = false;
  /** Number of keys in all families. */
  #keys = 0;

  constructor(
    private readonly bulk: number,
    /** Called once for each type that has more than `bulk` keys. */
    private readonly onBulk: () => void,
  ) {}

  /** Number of keys, patterns and types. */
  get size(): number {
    if (this.#isEverything) return 1;
    let size = this.#others.size;
    for (const keys of this.#families.values()) size += keys?.size ?? 1;
    return size;
  }

  add(invalidation: Invalidation): void {
    const keys = keysOf(invalidation);
    const isPlain =
      invalidation.action !== 'Update' && invalidation.metadata === null;
    if (keys !== null && isPlain) {
      for (const key of keys) {
        // A mapper in plain JavaScript may name keys that no factory makes.
        if (isCacheKey(key)) this.#addKey(key);
        else this.widenToEverything();
      }
    } else this.#addOther(invalidation);
  }

  addEntity(type: EntityType, id: string): void {
    this.#addKey(keyOf(type, id));
  }

  /** Adds every entity of a type. */
  widen(type: EntityType): void {
    this.#widenFamily(keyOf(type, '').slice(0, -1));
  }

  widenToEverything(): void {
    this.#isEverything = true;
    this.#families.clear();
    this.#others.clear();
  }

  /** The fewest invalidations that cover all that was added. */
  invalidations(): Invalidation[] {
    if (this.#isEverything) return [everything()];
    const keys: string[] = [];
    const patterns: Invalidation[] = [];
    for (const [family, some] of this.#families) {
      if (some === null) patterns.push(patternOf(`${escapePattern(family)}:*`));
      else keys.push(...some);
    }
    const [first] = keys;
    const parts = keys.length === 1 ? parseCacheKey(first!) : null;
    const exact =
      parts === null
        ? keys.length === 0
          ? []
          : [batch(keys)]
        : [entity(parts.entityType, parts.entityId)];
    return [...exact, ...patterns, ...this.#others.values()];
  }

  #addKey(key: string): void {
    if (this.#isEverything) return;
    const family = key.slice(0, key.indexOf(':'));
    let keys = this.#families.get(family);
    if (keys === null) return;
    if (keys === undefined) {
      if (!this.#hasRoom()) return;
      keys = new Set();
      this.#families.set(family, keys);
    }
    if (keys.has(key)) return;
    keys.add(key);
    this.#keys++;
    if (keys.size > this.bulk) {
      this.onBulk();
      this.#widenFamily(family);
    } else if (this.#keys > MAX_BULKS * this.bulk) {
      this.onBulk();
      for (const each of this.#families.keys()) this.#widenFamily(each);
    }
  }

  #addOther(invalidation: Invalidation): void {
    if (this.#isEverything) return;
    this.#others.set(contentOf(invalidation), invalidation);
    if (this.#others.size <= this.bulk) return;
    this.onBulk();
    const prefixes = [...this.#others.values()].flatMap(prefixesOf);
    this.#others.clear();
    for (const prefix of new Set(prefixes)) this.#widenFamily(prefix);
  }

  #widenFamily(family: string): void {
    if (this.#isEverything) return;
    const keys = this.#families.get(family);
    if (keys === undefined && !this.#hasRoom()) return;
    if (family === '') return this.widenToEverything();
    this.#keys -= keys?.size ?? 0;
    this.#families.set(family, null);
  }

  #hasRoom(): boolean {
    if (this.#families.size < MAX_FAMILIES) return true;
    this.widenToEverything();
    return false;
  }
}
