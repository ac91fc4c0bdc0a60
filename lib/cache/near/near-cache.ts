import {
  cacheKeysStart,
  checkEntityId,
  concerns,
  escapePattern,
  keysOf,
  type EntityId,
  type EntityType,
  type InvalidationMessage,
} from '../../message/index.js';
import { InvalidationScope } from '../../publisher/index.js';
import { isPromiseLike, type Fence } from '../../stream/index.js';
import {
  DependencyGuard,
  NO_DEPENDENCIES,
  type Dependencies,
} from '../dependencies.js';
import { ISOLATIONS, type Isolation } from './isolation.js';
import { L1Tier } from './l1-tier.js';
import type { L2Stats, L2Tier } from '../shared/l2-tier.js';
import type { ResolvedNearCacheOptions } from './near-cache.options.js';

/** What a near cache has to know of its instance. @internal */
export interface CacheSource {
  fence(): Fence;
  /** Up to where everything has been applied; `null` if that is not known. */
  readonly position: string | null;
  /** Nothing may be kept now: it is not known what was missed. */
  readonly bypass: boolean;
}

/** What a near cache did since it was made. @publicApi */
export interface NearCacheStats {
  /** Reads that were answered from memory. */
  readonly hits: number;
  /** Reads that were not, those that joined another's load included. */
  readonly misses: number;
  /** Calls of a loader. */
  readonly loads: number;
  /** Loaded values that an invalidation had overtaken: returned, not kept. */
  readonly overtaken: number;
  /** Entries in memory now. */
  readonly size: number;
  /** What was found in Redis, and kept in memory from then on. */
  readonly l2Hits: number;
  /** What was found there, but an invalidation has come since, or may have. */
  readonly l2Refused: number;
  /** Failures of Redis and of the serializer; the loader was asked instead. */
  readonly l2Errors: number;
  /** Loaded values that would not come back from Redis as they are: not kept there. */
  readonly l2Unshared: number;
}

interface Flight<V> {
  readonly promise: Promise<V>;
  readonly fence: Fence;
  /** Its loader leaves out what does not exist. */
  readonly isOfMany: boolean;
  /** It began while caches were bypassed, as reads do that may join it then. */
  readonly isBypassed: boolean;
  /** An invalidation has overtaken what was loaded, as is known once it is there. */
  isOvertaken: boolean;
}

interface Loaded<V> {
  readonly value: V;
  /** Of when the load began: on whichever instance. */
  readonly fence: Fence;
  /** Its dependencies; `null` if they cannot be told. */
  readonly dependencies: readonly string[] | null;
}

/** Keys of one message; for a larger batch all of a cache is evicted. */
const BATCH_LIMIT = 10_000;

const NO_L2: L2Stats = {
  l2Hits: 0,
  l2Refused: 0,
  l2Errors: 0,
  l2Unshared: 0,
};

/**
 * A read-through cache of one entity type in this instance's memory, kept right
 * by invalidations. `NearCacheFactory` makes it.
 *
 * A load that an invalidation overtakes is returned to its caller and not kept;
 * a read that begins after an invalidation never gets what was loaded before.
 * In an `InvalidationScope` it is bypassed.
 *
 * @publicApi
 */
export class NearCache<V> {
  readonly #l1: L1Tier<V>;
  readonly #flights = new Map<string, Flight<V | undefined>>();
  readonly #prefix: string;
  readonly #isolation: Isolation | null;
  readonly #concerned: (message: InvalidationMessage) => boolean;
  #hits = 0;
  #misses = 0;
  #loads = 0;
  #overtaken = 0;
  #isClosed = false;

  /** @internal */
  constructor(
    /** Of which entities. */
    readonly entityType: EntityType,
    private readonly options: ResolvedNearCacheOptions<V>,
    private readonly source: CacheSource,
    private readonly l2: L2Tier<V> | null,
    private readonly onClose = (): void => {},
    private readonly dependencies: Dependencies<V> | null = null,
  ) {
    this.#prefix = cacheKeysStart(entityType);
    const { isolate } = options;
    this.#isolation = isolate === false ? null : ISOLATIONS[isolate];
    this.#concerned = concerns([entityType]);
    this.#l1 = new L1Tier(options.max, this.#prefix);
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
   * The entity, from memory or from `load`, which runs once for all who ask
   * meanwhile. What it throws is thrown here, and not kept.
   *
   * @param load must read what was committed, not a replica that lags
   */
  get(id: EntityId, load: () => Promise<V> | V): Promise<V> {
    if (this.#isAside) return this.#loadAside(load, [id]);
    const entry = this.source.bypass ? undefined : this.#l1.get(nameOf(id));
    if (entry !== undefined) {
      this.#hits++;
      return this.#give(entry.promise);
    }
    this.#misses++;
    const flight = this.#joined(nameOf(id));
    if (flight === null) return this.#give(this.#load(id, load));
    const joined = this.#join(flight, nameOf(id), () => this.#load(id, load));
    if (!flight.isOfMany) return this.#give(joined as Promise<V>);
    // That there is none is for this loader to say, which may throw.
    return joined.then((value) =>
      value === undefined
        ? this.get(id, load)
        : this.#give(joined as Promise<V>),
    );
  }

  /**
   * Several at once: one call of `loadMany` for those that neither memory nor a
   * load under way has.
   *
   * @param loadMany of the ids that are missing, once each; what its map does
   * not have does not exist
   * @returns those that exist
   */
  async getMany<I extends EntityId>(
    ids: readonly I[],
    loadMany: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): Promise<Map<I, V>> {
    if (this.#isAside) return this.#asideMany(ids, loadMany);
    const found = new Map<I, Promise<V | undefined>>();
    const missing: I[] = [];
    for (const id of new Set(ids)) {
      const name = checkEntityId(id);
      const entry = this.source.bypass ? undefined : this.#l1.get(name);
      if (entry === undefined) this.#misses++;
      else this.#hits++;
      const flight = entry === undefined ? this.#joined(name) : null;
      if (entry !== undefined) found.set(id, entry.promise);
      else if (flight === null) missing.push(id);
      else {
        const again = (): Promise<V | undefined> =>
          this.#flyAll([id], loadMany).get(id)!;
        found.set(id, this.#join(flight, name, again));
      }
    }
    if (missing.length > 0) {
      for (const [id, loading] of this.#flyAll(missing, loadMany)) {
        found.set(id, loading);
      }
    }
    const all = [...found].map(
      async ([id, value]) => [id, await this.#give(value)] as const,
    );
    const result = new Map<I, V>();
    for (const [id, value] of await Promise.all(all)) {
      if (value !== undefined) result.set(id, value);
    }
    return result;
  }

  /**
   * What is in memory; `undefined` if nothing is. Loads nothing, and leaves no
   * trace: it is not a use of the entry, and counts as no read.
   */
  peek(id: EntityId): V | undefined {
    if (this.source.bypass) return undefined;
    const value = this.#l1.peek(nameOf(id))?.value;
    return value === undefined
      ? value
      : (this.#isolation?.give?.(value) ?? value);
  }

  /** What it did since it was made. */
  get stats(): NearCacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      loads: this.#loads,
      overtaken: this.#overtaken,
      size: this.#l1.size,
      ...(this.l2?.stats ?? NO_L2),
    };
  }

  /** @internal */
  apply(message: InvalidationMessage): void {
    const keys = keysOf(message);
    if (keys === null) {
      if (this.#concerned(message)) this.#applyPattern(message);
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

  /**
   * Ends it: it keeps nothing any more, and every read is loaded. For a cache that
   * does not live as long as the application; at shutdown it ends by itself.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#l1.clear();
    this.onClose();
  }

  /** Whether reads go past it, to the loader. */
  get #isAside(): boolean {
    return this.#isClosed || InvalidationScope.current !== null;
  }

  /** Faster than key by key, and no more than the loads of a large batch. */
  #evictAll(message: InvalidationMessage): void {
    this.#l1.clear();
    this.l2?.sweep(`${escapePattern(this.#prefix)}*`, message);
  }

  #applyPattern(message: InvalidationMessage): void {
    const pattern = message.pattern ?? '*';
    this.#l1.deleteMatching(pattern);
    this.l2?.sweep(pattern, message);
  }

  /** To one reader, by the option `isolate`. */
  #give<T>(promise: Promise<T>): Promise<T> {
    const give = this.#isolation?.give;
    return give ? promise.then(give) : promise;
  }

  /** A load under way, unless an invalidation has overtaken it. */
  #joined(name: string): Flight<V | undefined> | null {
    const flight = this.#flights.get(name);
    if (flight?.isBypassed === false && this.source.bypass) return null;
    return flight?.fence.holds(this.#prefix + name) === true ? flight : null;
  }

  /**
   * Joins a load. Its dependencies are not known before it has landed: if an
   * invalidation has overtaken it, perhaps before this read began, it is not for
   * this read.
   */
  #join(
    flight: Flight<V | undefined>,
    name: string,
    again: () => Promise<V | undefined>,
  ): Promise<V | undefined> {
    if (this.dependencies === null) return flight.promise;
    return flight.promise.then((value) => {
      if (!flight.isOvertaken) return value;
      // A load that has replaced it began after this read.
      const later = this.#flights.get(name);
      return later?.isOfMany === false ? later.promise : again();
    });
  }

  #flyAll<I extends EntityId>(
    ids: I[],
    loadMany: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): Map<I, Promise<V | undefined>> {
    const fence = this.source.fence();
    const fetch = this.#fetch(ids, loadMany);
    return new Map(
      ids.map((id) => [id, this.#fly(String(id), fence, fetch(id), true)]),
    );
  }

  /** A unit of work reads its own rows, which are nobody else's before the commit. */
  async #loadAside<T>(
    load: () => Promise<T> | T,
    ids: readonly EntityId[],
  ): Promise<T> {
    for (const id of ids) checkEntityId(id);
    this.#misses++;
    this.#loads++;
    return load();
  }

  async #asideMany<I extends EntityId>(
    ids: readonly I[],
    loadMany: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): Promise<Map<I, V>> {
    const asked = [...new Set(ids)];
    const result = new Map<I, V>();
    if (asked.length === 0) return result;
    const values = await this.#loadAside(() => loadMany(asked), asked);
    for (const id of asked) {
      const value = values.get(id);
      if (value !== undefined) result.set(id, value);
    }
    return result;
  }

  async #load(id: EntityId, load: () => Promise<V> | V): Promise<V> {
    const name = checkEntityId(id);
    const fence = this.source.fence();
    const fetch = this.#fetch(
      [name],
      async () => new Map([[name, await load()]]),
    );
    return this.#fly(name, fence, fetch(name)) as Promise<V>;
  }

  /** From Redis what is there and right, and the others by their loader. */
  #fetch<I extends EntityId>(
    ids: I[],
    load: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): (id: I) => Promise<Loaded<V | undefined>> {
    if (this.l2 === null) {
      const loading = this.#loadAll(ids, load);
      return async (id) => (await loading)(id);
    }
    const finding = this.#share(ids, this.l2);
    const loading = finding.then((found) =>
      this.#loadAll(
        ids.filter((id) => !found.has(id)),
        load,
      ),
    );
    // Of no concern to what was found; whatever else waits for it hears of it.
    loading.catch(() => undefined);
    return async (id) => (await finding).get(id) ?? (await loading)(id);
  }

  async #loadAll<I extends EntityId>(
    ids: I[],
    load: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): Promise<(id: I) => Loaded<V | undefined>> {
    const fence = this.source.fence();
    const { position } = this.source;
    let values: ReadonlyMap<I, V> = new Map();
    if (ids.length > 0) {
      this.#loads++;
      values = await load(ids);
      refusePromises(ids.map((id) => values.get(id)));
    }
    const loaded = new Map<I, Loaded<V | undefined>>();
    for (const id of ids) {
      const value = values.get(id);
      const dependencies = this.#dependenciesOf(value);
      const one = { value, fence, dependencies };
      loaded.set(id, one);
      this.#putL2(this.#prefix + String(id), one, position);
    }
    return (id) => loaded.get(id)!;
  }

  #dependenciesOf(value: V | undefined): readonly string[] | null {
    return this.dependencies === null
      ? NO_DEPENDENCIES
      : this.dependencies.of(value);
  }

  /** What Redis has of them, and is right. */
  async #share<I extends EntityId>(
    ids: I[],
    l2: L2Tier<V>,
  ): Promise<Map<I, Loaded<V | undefined>>> {
    const found = new Map<I, Loaded<V | undefined>>();
    if (this.source.bypass) return found;
    await Promise.all(
      ids.map(async (id) => {
        const entry = await l2.get(this.#prefix + String(id));
        if (entry !== null) found.set(id, entry);
      }),
    );
    return found;
  }

  #putL2(
    key: string,
    { value, fence, dependencies }: Loaded<V | undefined>,
    position: string | null,
  ): void {
    const { l2 } = this.options;
    if (this.l2 === null || l2 === null) return;
    // A test has to fail wherever this instance stands.
    if (l2.strict) this.l2.encode(value as V);
    if (position === null || dependencies === null) return;
    const ttl = this.#ttlOf(value, l2.ttl);
    if (ttl === 0 || this.#isClosed || this.source.bypass) return;
    if (!fence.holds(key, ...dependencies)) return;
    this.l2.put(key, position, value as V, ttl, dependencies);
  }

  #fly(
    name: string,
    fence: Fence,
    loading: Promise<Loaded<V | undefined>>,
    isOfMany = false,
  ): Promise<V | undefined> {
    const promise = loading.then(
      (loaded) => {
        this.#landed(name, promise);
        const value = this.#isolation?.keep(loaded.value) ?? loaded.value;
        flight.isOvertaken = !this.#store(name, { ...loaded, value });
        return value;
      },
      (error: unknown) => {
        this.#landed(name, promise);
        throw error;
      },
    );
    const { bypass: isBypassed } = this.source;
    const flight: Flight<V | undefined> = {
      promise,
      fence,
      isOfMany,
      isBypassed,
      isOvertaken: false,
    };
    this.#flights.set(name, flight);
    return promise;
  }

  #landed(name: string, promise: Promise<V | undefined>): void {
    // One that was overtaken has been replaced.
    if (this.#flights.get(name)?.promise === promise) {
      this.#flights.delete(name);
    }
  }

  /** @returns `false` if an invalidation has overtaken it, or may have */
  #store(
    name: string,
    { value, fence, dependencies }: Loaded<V | undefined>,
  ): boolean {
    if (dependencies === null) return fence.holds(this.#prefix + name, '');
    if (!fence.holds(this.#prefix + name, ...dependencies)) {
      this.#overtaken++;
      return false;
    }
    const ttl = this.#ttlOf(value, this.options.ttl);
    if (ttl === 0 || this.#isClosed || this.source.bypass) return true;
    this.#l1.set(name, value as V, ttl, this.#guardOf(dependencies));
    return true;
  }

  #guardOf(dependencies: readonly string[]): DependencyGuard | null {
    if (dependencies.length === 0) return null;
    const newFence = (): Fence => this.source.fence();
    return new DependencyGuard(dependencies, newFence(), newFence);
  }

  /** Spread, so that what was loaded together is not reloaded together. */
  #ttlOf(value: V | undefined, ttl: number): number {
    const { negativeTtl, ttlJitter } = this.options;
    const isThere = value !== undefined && value !== null;
    const base = isThere ? ttl : Math.min(negativeTtl, ttl);
    return Math.ceil(base * (1 - ttlJitter * Math.random()));
  }
}

/** As plain JavaScript may give them: what they come to would be kept unseen. */
function refusePromises(values: readonly unknown[]): void {
  if (!values.some(isPromiseLike)) return;
  // Nobody else will hear of their rejections.
  void Promise.allSettled(values);
  throw new TypeError(
    'loadMany gave promises in its map: give it what they resolve to.',
  );
}

/** Untyped callers may pass anything; invalid ids miss here and are refused on load. */
function nameOf(id: EntityId): string {
  if (typeof id === 'string') return id;
  if (Number.isSafeInteger(id)) return String(id);
  try {
    return checkEntityId(id);
  } catch {
    return '';
  }
}
