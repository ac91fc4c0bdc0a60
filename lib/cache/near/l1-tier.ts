import { LRUCache } from 'lru-cache';
import { matchesAllOf, weighPattern } from '../../message/index.js';
import type { DependencyGuard } from '../dependencies.js';
import { Sweep } from './sweep.js';

/** @internal */
export interface L1Entry<V> {
  readonly value: V;
  /** Created once, so that a hit allocates nothing. */
  readonly promise: Promise<V>;
  /** Number of the last sweep before it was stored: later ones may evict it. */
  readonly sweeps: number;
  /** `null` for an entry that depends on nothing else. */
  readonly guard: DependencyGuard | null;
}

/**
 * The clock is looked up at each read, since tests replace the global one. It is
 * never 0, which an LRUCache takes for an unset time.
 */
const CLOCK = { now: () => performance.now() + 1 };

/**
 * Entries of a near cache in memory. An evicted entry is not found any more, even
 * while a sweep has yet to remove it.
 *
 * @internal
 */
export class L1Tier<V> {
  #entries: LRUCache<string, L1Entry<V>>;
  #sweep: Sweep | null = null;
  #sweeps = 0;

  /**
   * @param max entries
   * @param prefix the beginning of their cache keys: `user:`
   */
  constructor(
    private readonly max: number,
    private readonly prefix: string,
  ) {
    this.#entries = newEntries(max);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): L1Entry<V> | undefined {
    return this.#unlessEvicted(name, this.#entries.get(name));
  }

  /** Reads an entry without making it recently used. */
  peek(name: string): L1Entry<V> | undefined {
    return this.#unlessEvicted(name, this.#entries.peek(name));
  }

  /** @param ttl in milliseconds */
  set(
    name: string,
    value: V,
    ttl: number,
    guard: DependencyGuard | null = null,
  ): void {
    this.#entries.set(
      name,
      { value, promise: Promise.resolve(value), sweeps: this.#sweeps, guard },
      { ttl, size: 1 },
    );
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }

  /** @param pattern of cache keys */
  deleteMatching(pattern: string): void {
    if (matchesAllOf(this.prefix, pattern)) return this.clear();
    const { matches, weight } = weighPattern(pattern);
    this.#sweep ??= new Sweep(
      this.#entries,
      () => (this.#sweep = null),
      () => this.clear(),
    );
    this.#sweep.add({
      isAffected: (name) => matches(this.prefix + name),
      weight,
      number: ++this.#sweeps,
    });
  }

  clear(): void {
    this.#sweep?.stop();
    this.#sweep = null;
    // LRUCache.clear() holds the event loop for half a second per million entries.
    if (this.#entries.size > 0) this.#entries = newEntries(this.max);
  }

  #unlessEvicted(name: string, entry?: L1Entry<V>): L1Entry<V> | undefined {
    if (entry === undefined) return entry;
    if (entry.guard === null && this.#sweep === null) return entry;
    // The sweep has not reached it yet, or never will if a read moved it.
    const isSwept = this.#sweep?.concerns(name, entry.sweeps) === true;
    if (!isSwept && entry.guard?.holds() !== false) return entry;
    this.#entries.delete(name);
    return undefined;
  }
}

/**
 * With `max` an LRUCache allocates lists of that length when it is created, which
 * is whenever all entries are evicted: 20 ms for 100,000. So its size is bounded.
 */
function newEntries<V>(max: number): LRUCache<string, L1Entry<V>> {
  // Expiry is judged by the clock at each read: with a resolution, a timer would
  // have to have its turn before the clock is read again.
  return new LRUCache({ max: 0, maxSize: max, perf: CLOCK, ttlResolution: 0 });
}
