import {
  checkEntityId,
  type EntityId,
  type EntityType,
  type InvalidationMessage,
} from '../../message/index.js';
import { isInScope } from '../../publisher/index.js';
import type { ReplicaMarks } from '../../replica/index.js';
import type { Dependencies } from '../dependencies.js';
import type { L2Tier } from '../shared/l2-tier.js';
import { CacheLoader, loaderOf } from './cache-loader.js';
import { CacheTiers, type LoadSource } from './cache-tiers.js';
import { Flights } from './flights.js';
import { isolationBy, type Isolation } from './isolation.js';
import type { LoadGate } from './load-gate.js';
import { existing, LoadsAside } from './loads-aside.js';
import { nameOf } from './name-of.js';
import type { NearCacheCounts, NearCacheStats } from './near-cache-stats.js';
import type { ResolvedNearCacheOptions } from './near-cache.options.js';
import { Refresher } from './refresher.js';
import type { LoadFromPrimary } from './replica-loads.js';

/**
 * A read-through cache of one entity type in this instance's memory, kept right
 * by invalidations. `NearCacheFactory` creates it.
 *
 * A load that an invalidation overtakes is returned to its caller and not kept;
 * a read that begins after an invalidation never gets a value loaded before it.
 * In an `InvalidationScope` the cache is bypassed.
 *
 * @publicApi
 */
export class NearCache<V> {
  readonly #counts: NearCacheCounts = {
    hits: 0,
    misses: 0,
    loads: 0,
    overtaken: 0,
    behind: 0,
    primaryLoads: 0,
  };
  readonly #tiers: CacheTiers<V>;
  readonly #flights: Flights<V>;
  readonly #isolation: Isolation | null;
  readonly #refresher: Refresher<V> | null;
  readonly #aside = new LoadsAside<V>(this.#counts);
  readonly #primary: LoadFromPrimary<V> | null;

  /** @internal */
  constructor(
    /** The type of the cached entities. */
    readonly entityType: EntityType,
    options: ResolvedNearCacheOptions<V>,
    private readonly source: LoadSource,
    l2: L2Tier<V> | null,
    private readonly onClose = (): void => {},
    private readonly dependencies: Dependencies<V> | null = null,
    gate: LoadGate | null = null,
    onRefreshFailed: (error: unknown) => void = () => {},
    private readonly marks: ReplicaMarks | null = null,
  ) {
    const counts = this.#counts;
    this.#primary = options.primary;
    this.#isolation = isolationBy(options.isolate);
    this.#tiers = new CacheTiers(entityType, options, source, l2, counts);
    this.#flights = new Flights(
      this.#tiers,
      new CacheLoader(this.#tiers, source, dependencies, counts, gate, marks),
      source,
      this.#isolation,
      dependencies !== null,
      gate,
    );
    this.#refresher =
      options.refreshAfter === null
        ? null
        : new Refresher(options.refreshAfter, this.#flights, onRefreshFailed);
  }

  /**
   * Entity types whose messages evict its entries; `null` where only the entries
   * know.
   *
   * @internal
   */
  get handledTypes(): readonly EntityType[] | null {
    return this.dependencies === null ? [this.entityType] : null;
  }

  /**
   * The entity, from memory or from `load`, which runs once for all reads of that
   * time. Its errors are thrown here, and not kept.
   *
   * @param load must read committed data, and no replica without the option `replica`
   * @param primary that of the options
   * @throws CacheStaleError beyond `maxStaleness`, with `whenStale: 'fail'`
   */
  get(
    id: EntityId,
    load: () => Promise<V> | V,
    primary: ((id: string) => Promise<V> | V) | null = this.#primary,
  ): Promise<V> {
    if (this.#isAside) return this.#aside.load(load, [id]);
    const name = nameOf(id);
    const entry = this.#tiers.get(name);
    if (entry !== undefined) {
      this.#counts.hits++;
      if (this.#refresher?.isDue(entry)) {
        const loaders = { load: loaderOf(name, load), primary };
        this.#refresher.start([name], loaders, false);
      }
      return this.#give(entry.promise);
    }
    const failure = this.source.failure ?? null;
    if (failure !== null) return Promise.reject(failure);
    if (primary === null && this.marks?.isBehindReader) {
      return this.marks.told().then(() => this.get(id, load, primary));
    }
    this.#counts.misses++;
    const flight = this.#flights.find(name);
    if (flight === null) return this.#give(this.#load(id, load, primary));
    const joined = this.#flights.join(flight, name, () =>
      this.#load(id, load, primary),
    );
    if (!flight.begin.isOfMany) return this.#give(joined as Promise<V>);
    // The loader of many found nothing; this one may throw instead.
    return joined.then((value) =>
      value === undefined
        ? this.get(id, load, primary)
        : this.#give(joined as Promise<V>),
    );
  }

  /**
   * Several entities: one call of `loadMany` for those that neither memory nor a
   * load under way has.
   *
   * @param loadMany gets the missing ids, once each; ids that its map does not have
   * do not exist
   * @returns those that exist
   */
  async getMany<I extends EntityId>(
    ids: readonly I[],
    loadMany: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): Promise<Map<I, V>> {
    if (this.#isAside) return this.#aside.loadMany(ids, loadMany);
    const failure = this.source.failure ?? null;
    if (failure !== null) throw failure;
    const loaders = { load: loadMany, primary: this.#primary };
    const found = new Map<I, Promise<V | undefined>>();
    const missing: I[] = [];
    const due: I[] = [];
    // All ids before the first read: nobody would handle what a refused call has joined.
    const names = new Map(ids.map((id) => [id, checkEntityId(id)]));
    if (this.#primary === null && this.marks?.isBehindReader) {
      const isLoad = [...names.values()].some(
        (name) => this.#tiers.peek(name) === undefined,
      );
      if (isLoad)
        return this.marks.told().then(() => this.getMany(ids, loadMany));
    }
    for (const [id, name] of names) {
      const entry = this.#tiers.get(name);
      if (entry !== undefined) {
        this.#counts.hits++;
        found.set(id, entry.promise);
        if (this.#refresher?.isDue(entry)) due.push(id);
        continue;
      }
      this.#counts.misses++;
      const flight = this.#flights.find(name);
      if (flight === null) missing.push(id);
      else {
        const again = (): Promise<V | undefined> =>
          this.#flights.start([id], loaders, true).get(id)!;
        found.set(id, this.#flights.join(flight, name, again));
      }
    }
    if (due.length > 0) this.#refresher!.start(due, loaders, true);
    if (missing.length > 0) {
      const started = this.#flights.start(missing, loaders, true);
      for (const [id, loading] of started) found.set(id, loading);
    }
    const values = await Promise.all(
      [...found].map(
        async ([id, value]) => [id, await this.#give(value)] as const,
      ),
    );
    return existing(values);
  }

  /**
   * The entity in memory; `undefined` if there is none. Loads nothing, does not
   * renew the entry, and counts as no read.
   */
  peek(id: EntityId): V | undefined {
    const value = this.#tiers.peek(nameOf(id))?.value;
    return this.#isolation?.give?.(value) ?? value;
  }

  /** Counts since it was created. */
  get stats(): NearCacheStats {
    return this.#tiers.stats;
  }

  /** @internal */
  apply(message: InvalidationMessage): void {
    this.marks?.add(message);
    this.#tiers.evict(message);
  }

  /**
   * Ends the cache: it keeps nothing from now on, and every read is loaded. Needed
   * only for a cache that ends before the application; the shutdown closes all.
   */
  close(): void {
    if (this.#tiers.isClosed) return;
    this.#tiers.close();
    this.onClose();
  }

  /**
   * Whether reads bypass the cache: a unit of work reads its own rows, which
   * nobody else sees before the commit.
   */
  get #isAside(): boolean {
    return this.#tiers.isClosed || isInScope();
  }

  /** Hands a value to one reader, by the option `isolate`. */
  #give<T>(promise: Promise<T>): Promise<T> {
    const give = this.#isolation?.give;
    return give ? promise.then(give) : promise;
  }

  async #load(
    id: EntityId,
    load: () => Promise<V> | V,
    primary: LoadFromPrimary<V> | null,
  ): Promise<V> {
    const name = checkEntityId(id);
    const loaders = { load: loaderOf(name, load), primary };
    return this.#flights.start([name], loaders, false).get(name) as Promise<V>;
  }
}
