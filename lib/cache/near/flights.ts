import type { EntityId } from '../../message/index.js';
import type { Marks } from '../../replica/index.js';
import type { CacheLoader, Loaders } from './cache-loader.js';
import type { CacheTiers, Loaded, LoadSource } from './cache-tiers.js';
import { FlightFence, type FenceOf } from './flight-fence.js';
import type { Isolation } from './isolation.js';
import type { LoadGate } from './load-gate.js';

/** The begin of a load of one id or many. */
interface Begin {
  /** Whether its loader was called for several ids, and leaves out those that do not exist. */
  readonly isOfMany: boolean;
  /** Whether it began while caches were bypassed; only reads of that time may join it. */
  readonly isBypassed: boolean;
  /** Whether it asks a replica only, also for what is marked. */
  readonly mayBeBehind: boolean;
  /** Up to where it sees changes at least, where it asks a replica. */
  readonly reach: string | null;
}

/** A load under way. @internal */
export interface Flight<V> {
  readonly begin: Begin;
  readonly promise: Promise<V | undefined>;
  readonly fence: FlightFence;
  /** Whether an invalidation has overtaken it; known once it has landed. */
  isOvertaken: boolean;
}

/**
 * Loads under way of one near cache, by entity id: reads join them, and values
 * that land are kept.
 *
 * @internal
 */
export class Flights<V> {
  readonly #flights = new Map<string, Flight<V>>();

  constructor(
    private readonly tiers: CacheTiers<V>,
    private readonly loader: CacheLoader<V>,
    private readonly source: LoadSource,
    private readonly isolation: Isolation | null,
    private readonly hasDependencies: boolean,
    private readonly gate: LoadGate | null,
  ) {}

  /** A load that a new read may join: no invalidation has overtaken it so far. */
  find(name: string): Flight<V> | null {
    const flight = this.#flights.get(name);
    if (flight === undefined) return null;
    if (flight.begin.isBypassed !== this.source.bypass) return null;
    // A load that has its turn must not wait for one that may wait for that turn.
    if (flight.fence.mayWait && this.gate?.isEntered) return null;
    if (this.#isBehind(name, flight)) return null;
    return flight.fence.holds(this.tiers.keyOf(name)) ? flight : null;
  }

  /**
   * Joins a load. Its dependencies are known only once it has landed: if an
   * invalidation has overtaken it by then, perhaps before this read began, this
   * read loads again.
   */
  join(
    flight: Flight<V>,
    name: string,
    loadAgain: () => Promise<V | undefined>,
  ): Promise<V | undefined> {
    if (!this.hasDependencies) return flight.promise;
    return flight.promise.then((value) => {
      if (!flight.isOvertaken) return value;
      // A flight that has replaced it began after this read.
      const later = this.#flights.get(name);
      return later?.begin.isOfMany === false ? later.promise : loadAgain();
    });
  }

  /**
   * Starts a load; flights of these ids that an invalidation has overtaken are replaced.
   *
   * @param isRefresh whether it replaces values that are in memory
   */
  start<I extends EntityId>(
    ids: I[],
    loaders: Loaders<I, V>,
    isOfMany: boolean,
    isRefresh = false,
  ): Map<I, Promise<V | undefined>> {
    const { marks } = this.loader;
    const begin = {
      isOfMany,
      isBypassed: this.source.bypass,
      mayBeBehind: loaders.primary === null,
      reach: this.loader.reach(marks, loaders.primary !== null),
    };
    const fenceOf = this.#fencesOf(ids, marks);
    const started = new Map<I, Promise<V | undefined>>();
    const fetched = this.loader.fetch(ids, loaders, fenceOf, isRefresh);
    for (const [id, loading] of fetched) {
      started.set(id, this.#track(String(id), begin, fenceOf(id), loading));
    }
    return started;
  }

  /** Fences of a load that begins now. Ids have their own only where loads have turns. */
  #fencesOf<I>(ids: readonly I[], marks: Marks | null): FenceOf<I> {
    const now = this.source.fence();
    if (this.gate === null) {
      const shared = new FlightFence(now, marks);
      return () => shared;
    }
    const isNested = this.gate.isEntered;
    const fences = new Map(
      ids.map((id) => [id, new FlightFence(now, marks, isNested)]),
    );
    return (id) => fences.get(id)!;
  }

  #track(
    name: string,
    begin: Begin,
    fence: FlightFence,
    loading: Promise<Loaded<V | undefined>>,
  ): Promise<V | undefined> {
    const promise = loading.then(
      (loaded) => this.#land(name, flight, loaded),
      (error: unknown) => {
        this.#remove(name, flight);
        throw error;
      },
    );
    const flight: Flight<V> = { begin, promise, fence, isOvertaken: false };
    this.#flights.set(name, flight);
    return promise;
  }

  /**
   * Whether the replica that answers it has come further since its begin, or was behind
   * what the reader has to see.
   */
  #isBehind(name: string, { begin, fence }: Flight<V>): boolean {
    if (!this.loader.isEnough(begin.reach)) return true;
    const { marks } = fence;
    if (!begin.mayBeBehind || marks === null || marks === this.loader.marks) {
      return false;
    }
    return this.hasDependencies || marks.covers([this.tiers.keyOf(name)]);
  }

  #land(
    name: string,
    flight: Flight<V>,
    loaded: Loaded<V | undefined>,
  ): V | undefined {
    this.#remove(name, flight);
    const value = this.isolation?.keep(loaded.value) ?? loaded.value;
    // Messages from before this instance was live were not received.
    flight.isOvertaken = flight.begin.isBypassed
      ? !this.tiers.holds(name, loaded)
      : !this.tiers.keep(name, value, loaded);
    return value;
  }

  #remove(name: string, flight: Flight<V>): void {
    // A flight that was overtaken may have been replaced.
    if (this.#flights.get(name) === flight) this.#flights.delete(name);
  }
}
