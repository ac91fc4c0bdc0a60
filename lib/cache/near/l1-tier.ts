import { LRUCache } from 'lru-cache';
import { matchesAllOf, weighPattern } from '../../message/index.js';
import type { DependencyGuard } from '../dependencies.js';
import { Sweep } from './sweep.js';

/** @internal */
export interface L1Entry<V> {
  readonly value: V;
  /** Made once, so that a hit makes nothing. */
  readonly promise: Promise<V>;
  /** Sweeps that had begun when it was stored: they do not concern it. */
  readonly sweeps: number;
  /** `null` for an entry that depends on nothing else. */
  readonly guard: DependencyGuard | null;
}

/**
 * Looked up at each read, since tests replace the global clock; and never 0, which
 * an LRUCache takes for no time at all.
 */
const CLOCK = { now: () => performance.now() + 1 };

/**
 * What a near cache has in memory. What was evicted is not found any more, even
 * where it takes a while until all of it has gone.
 *
 * @internal
 */
export class L1Tier<V> {
  #entries: LRUCache<string, L1Entry<V>>;
  #sweep: Sweep | null = null;
  #sweeps = 0;

  /**
   * @param max entries
   * @param prefix what stands before their names in cache keys: `user:`
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

  /** The same, and leaves no trace. */
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
    // clear() holds the event loop for half a second per million.
    if (this.#entries.size > 0) this.#entries = newEntries(this.max);
  }

  #unlessEvicted(name: string, entry?: L1Entry<V>): L1Entry<V> | undefined {
    if (entry === undefined) return entry;
    if (entry.guard === null && this.#sweep === null) return entry;
    // The sweep has not come here yet; or never will, if reading it moved it.
    const isSwept = this.#sweep?.concerns(name, entry.sweeps) === true;
    if (!isSwept && entry.guard?.holds() !== false) return entry;
    this.#entries.delete(name);
    return undefined;
  }
}

/**
 * With `max` an LRUCache makes lists of that length at once, each time that all
 * are evicted: 20 ms for 100,000.
 */
function newEntries<V>(max: number): LRUCache<string, L1Entry<V>> {
  // Expiry is judged by the clock at each read: with a resolution, a timer would
  // have to have its turn before the clock is read again.
  return new LRUCache({ max: 0, maxSize: max, perf: CLOCK, ttlResolution: 0 });
}
