import {
  copyText,
  matchesAllOf,
  patternBehind,
  weighPattern,
} from '../../message/index.js';
import type { DependencyGuard } from '../dependencies.js';
import { LruEntry, LruMap } from './lru-map.js';
import { Sweep } from './sweep.js';

/** @internal */
export class L1Entry<V> extends LruEntry {
  /** Created once, so that a hit allocates nothing. */
  readonly promise: Promise<V>;

  constructor(
    name: string,
    expires: number,
    readonly value: V,
    /** Number of the last sweep before it was stored: later ones may evict it. */
    readonly sweeps: number,
    /** `null` for an entry that depends on nothing else. */
    readonly guard: DependencyGuard | null,
    /** When a read of it begins a refresh, by the monotonic clock. */
    public refreshAt: number,
  ) {
    super(name, expires);
    this.promise = Promise.resolve(value);
  }
}

/**
 * Entries of a near cache in memory. An evicted entry is not found any more, even
 * while a sweep has yet to remove it.
 *
 * @internal
 */
export class L1Tier<V> {
  #entries: LruMap<L1Entry<V>>;
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
    this.#entries = new LruMap(max);
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

  /**
   * @param ttl in milliseconds
   * @param refreshAfter in milliseconds
   */
  set(
    name: string,
    value: V,
    ttl: number,
    guard: DependencyGuard | null = null,
    refreshAfter = Infinity,
  ): void {
    const now = performance.now();
    // A reader may have cut the id out of a large text, which it would keep.
    const kept = copyText(name);
    const refreshAt = now + refreshAfter;
    this.#entries.set(
      new L1Entry(kept, now + ttl, value, this.#sweeps, guard, refreshAt),
    );
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }

  /** @param pattern of cache keys */
  deleteMatching(pattern: string): void {
    if (matchesAllOf(this.prefix, pattern)) return this.clear();
    const behind = patternBehind(this.prefix, pattern);
    const { matches, weight } = weighPattern(behind ?? pattern);
    this.#sweep ??= new Sweep(
      this.#entries,
      () => (this.#sweep = null),
      () => this.clear(),
    );
    this.#sweep.add({
      isAffected:
        behind === null ? (name) => matches(this.prefix + name) : matches,
      weight,
      number: ++this.#sweeps,
    });
  }

  clear(): void {
    this.#sweep?.stop();
    this.#sweep = null;
    // Takes no time, however many entries there are, hidden ones included.
    this.#entries = new LruMap(this.max);
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
