import type { CacheStaleError } from '../../errors/index.js';
import {
  cacheKeysStart,
  concerns,
  escapePattern,
  keysOf,
  type EntityId,
  type EntityType,
  type InvalidationMessage,
} from '../../message/index.js';
import type { Fence } from '../../stream/index.js';
import { DependencyGuard } from '../dependencies.js';
import type { PositionSource } from '../position-source.js';
import { NOT_STORED, type L2Tier } from '../shared/l2-tier.js';
import type { LoadClaims } from '../shared/load-claims.js';
import { L1Tier, type L1Entry } from './l1-tier.js';
import { lifetimeOf } from './lifetime.js';
import {
  NO_L2_STATS,
  type NearCacheCounts,
  type NearCacheStats,
} from './near-cache-stats.js';
import type { ResolvedNearCacheOptions } from './near-cache.options.js';

/** Keys of one message; a larger batch evicts the whole cache. */
const BATCH_LIMIT = 10_000;

/** The source, as far as a cache itself needs it. @internal */
export interface LoadSource extends Pick<
  PositionSource,
  'fence' | 'position' | 'bypass'
> {
  /** The error of a read at this moment; absent where no read may fail. */
  readonly failure?: CacheStaleError | null;
}

/** A value with what decides whether it may be kept. @internal */
export interface Loaded<V> {
  readonly value: V;
  /** Fence of the moment when the load began, on whichever instance. */
  readonly fence: Fence;
  /** Cache keys and families; `null` if they are not known. */
  readonly dependencies: readonly string[] | null;
  /** Whether a replica may not have had the last change: not to be kept. */
  readonly isBehind?: boolean;
  /** Whether the second tier stores it: of values that this instance has loaded. */
  stored?: Promise<boolean>;
}

/**
 * Entries of one near cache: in memory, and in Redis if it has a second tier. A
 * value is kept only while no invalidation has overtaken its load.
 *
 * @internal
 */
export class CacheTiers<V> {
  readonly #prefix: string;
  readonly #l1: L1Tier<V>;
  readonly #concerned: (message: InvalidationMessage) => boolean;
  #isClosed = false;

  constructor(
    entityType: EntityType,
    private readonly options: ResolvedNearCacheOptions<V>,
    private readonly source: LoadSource,
    private readonly l2: L2Tier<V> | null,
    private readonly counts: NearCacheCounts,
  ) {
    this.#prefix = cacheKeysStart(entityType);
    this.#concerned = concerns([entityType]);
    this.#l1 = new L1Tier(options.max, this.#prefix);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get stats(): NearCacheStats {
    return {
      ...this.counts,
      size: this.#l1.size,
      ...(this.l2?.stats ?? NO_L2_STATS),
    };
  }

  /** Claims of loads that instances share; `null` if they share none. */
  get claims(): LoadClaims | null {
    return this.source.bypass ? null : (this.l2?.claims ?? null);
  }

  /** The cache key of an entity id that was checked. */
  keyOf(name: string): string {
    return this.#prefix + name;
  }

  /** The entry in memory. */
  get(name: string): L1Entry<V> | undefined {
    return this.source.bypass ? undefined : this.#l1.get(name);
  }

  /** The entry in memory; not a use of it. */
  peek(name: string): L1Entry<V> | undefined {
    return this.source.bypass ? undefined : this.#l1.peek(name);
  }

  /**
   * Reads entries from the second tier.
   *
   * @returns those that may be served; `null` without a second tier
   */
  find<I extends EntityId>(
    ids: readonly I[],
  ): Promise<Map<I, Loaded<V>>> | null {
    return this.l2 === null ? null : this.#find(ids, this.l2);
  }

  /**
   * Stores a loaded value in the second tier, if there is one.
   *
   * @param position of this instance when the load began
   * @returns whether other instances find it there
   * @throws InvalidationSerializationError with the option `l2.strict`
   */
  share(
    name: string,
    { value, fence, dependencies, isBehind }: Loaded<V | undefined>,
    position: string | null,
  ): Promise<boolean> {
    const { l2 } = this.options;
    if (this.l2 === null || l2 === null) return NOT_STORED;
    // A test with `strict` has to fail at whatever position this instance is.
    if (l2.strict) this.l2.encode(value as V);
    if (position === null || dependencies === null || isBehind) {
      return NOT_STORED;
    }
    const ttl = lifetimeOf(value, l2.ttl, this.options);
    if (ttl === 0 || this.#isClosed || this.source.bypass) return NOT_STORED;
    const key = this.keyOf(name);
    if (!fence.holds(key, ...dependencies)) return NOT_STORED;
    return this.l2.put(key, position, value as V, ttl, dependencies);
  }

  /** Whether no invalidation has overtaken the load of a value, as far as is known. */
  holds(name: string, { fence, dependencies }: Loaded<unknown>): boolean {
    return fence.holds(this.keyOf(name), ...(dependencies ?? ['']));
  }

  /**
   * Stores a loaded value in memory.
   *
   * @param value the one to keep, which may be a copy of the loaded one
   * @returns `false` if an invalidation has overtaken its load, or may have
   */
  keep(
    name: string,
    value: V | undefined,
    loaded: Loaded<V | undefined>,
  ): boolean {
    const { dependencies, isBehind } = loaded;
    const holds = this.holds(name, loaded);
    if (dependencies === null) return holds;
    if (!holds) {
      this.counts.overtaken++;
      return false;
    }
    if (isBehind) {
      this.counts.behind++;
      return true;
    }
    if (this.#isClosed || this.source.bypass) return true;
    const ttl = lifetimeOf(value, this.options.ttl, this.options);
    // A refresh may have found that the entity does not exist any more.
    if (ttl === 0) this.#l1.delete(name);
    else this.#set(name, value as V, ttl, dependencies);
    return true;
  }

  /** Evicts the entries that a message names from both tiers. */
  evict(message: InvalidationMessage): void {
    const keys = keysOf(message);
    if (keys === null) {
      if (this.#concerned(message)) this.#evictMatching(message);
      return;
    }
    if (keys.length > BATCH_LIMIT) {
      if (this.#concerned(message)) this.#evictAll(message);
      return;
    }
    const own = keys.filter((key) => key.startsWith(this.#prefix));
    if (own.length === 0) return;
    for (const key of own) this.#l1.delete(key.slice(this.#prefix.length));
    this.l2?.drop(own, message);
  }

  close(): void {
    this.#isClosed = true;
    this.#l1.clear();
  }

  async #find<I extends EntityId>(
    ids: readonly I[],
    l2: L2Tier<V>,
  ): Promise<Map<I, Loaded<V>>> {
    const found = new Map<I, Loaded<V>>();
    if (this.source.bypass) return found;
    await Promise.all(
      ids.map(async (id) => {
        const entry = await l2.get(this.keyOf(String(id)));
        if (entry !== null) found.set(id, entry);
      }),
    );
    return found;
  }

  #evictMatching(message: InvalidationMessage): void {
    const pattern = message.pattern ?? '*';
    this.#l1.deleteMatching(pattern);
    this.l2?.sweep(pattern, message);
  }

  /** Faster than key by key, and costs no more loads than the batch would. */
  #evictAll(message: InvalidationMessage): void {
    this.#l1.clear();
    this.l2?.sweep(`${escapePattern(this.#prefix)}*`, message);
  }

  #set(
    name: string,
    value: V,
    ttl: number,
    dependencies: readonly string[],
  ): void {
    const guard = this.#guardOf(dependencies);
    const { refreshAfter } = this.options;
    const age =
      refreshAfter === null
        ? Infinity
        : lifetimeOf(value, refreshAfter, this.options);
    this.#l1.set(name, value, ttl, guard, age);
  }

  #guardOf(dependencies: readonly string[]): DependencyGuard | null {
    if (dependencies.length === 0) return null;
    const newFence = (): Fence => this.source.fence();
    return new DependencyGuard(dependencies, newFence(), newFence);
  }
}
