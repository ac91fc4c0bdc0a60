import type { EntityId } from '../../message/index.js';
import type { Marks, ReplicaMarks } from '../../replica/index.js';
import { NO_DEPENDENCIES, type Dependencies } from '../dependencies.js';
import { NOT_STORED } from '../shared/l2-tier.js';
import type { CacheTiers, Loaded, LoadSource } from './cache-tiers.js';
import type { FenceOf, FlightFence } from './flight-fence.js';
import type { LoadGate } from './load-gate.js';
import { checkMap, refusePromises } from './load-results.js';
import type { NearCacheCounts } from './near-cache-stats.js';
import { NONE, ReplicaLoads, type LoadFromPrimary } from './replica-loads.js';
import { SingleFlight } from './single-flight.js';

/**
 * Loads several entities at once; ids that its map does not have do not exist.
 *
 * @internal
 */
export type LoadMany<I extends EntityId, V> = (
  ids: I[],
) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>;

/** The loaders of one read. @internal */
export interface Loaders<I extends EntityId, V> {
  readonly load: LoadMany<I, V>;
  /** `null` where only `load` is there. */
  readonly primary: LoadFromPrimary<V> | null;
}

/** A reader's loader of one entity. @internal */
export function loaderOf<V>(
  name: string,
  load: () => Promise<V> | V,
): LoadMany<string, V> {
  return async () => new Map([[name, await load()]]);
}

/** @internal */
export type LoadedValues<I, V> = ReadonlyMap<I, Loaded<V | undefined>>;

/**
 * Fetches values that memory does not have: from the second tier, and the rest in
 * one call of the reader's loader.
 *
 * @internal
 */
export class CacheLoader<V> {
  /** `null` where loaders read the primary. */
  readonly #replica: ReplicaLoads<V> | null;

  constructor(
    private readonly tiers: CacheTiers<V>,
    private readonly source: LoadSource,
    private readonly dependencies: Dependencies<V> | null,
    private readonly counts: NearCacheCounts,
    /** `null` where any number of loads may run at a time. */
    private readonly gate: LoadGate | null,
    marks: ReplicaMarks | null,
  ) {
    this.#replica =
      marks &&
      new ReplicaLoads(
        marks,
        source,
        (name) => tiers.keyOf(name),
        (value) => this.#dependenciesOf(value),
        counts,
      );
  }

  /** Marks that a load which begins now has to heed; `null` if there are none. */
  get marks(): Marks | null {
    return this.#replica?.pending ?? null;
  }

  /** Up to where a load of a replica that begins now sees changes. */
  reach(marks: Marks | null, hasPrimary: boolean): string | null {
    return this.#replica?.reach(marks, hasPrimary) ?? null;
  }

  /** Whether a load with that reach shows the reader its own writes. */
  isEnough(reach: string | null): boolean {
    return this.#replica?.isEnough(reach) ?? true;
  }

  /**
   * @param fenceOf fences of the flights of these ids, which are told when their load
   * waits and when it begins
   * @param isRefresh whether the second tier is not read: its entry is as old
   * @returns each id's value, which is there sooner if the second tier has it
   */
  fetch<I extends EntityId>(
    ids: I[],
    loaders: Loaders<I, V>,
    fenceOf: FenceOf<I>,
    isRefresh: boolean,
  ): Map<I, Promise<Loaded<V | undefined>>> {
    const finding = isRefresh ? null : this.tiers.find(ids);
    if (finding === null) {
      const loading = this.#loadInTurn(ids, loaders, fenceOf);
      return new Map(
        ids.map((id) => [id, loading.then((values) => values.get(id)!)]),
      );
    }
    const loading = finding.then((found) =>
      this.#loadOnce(
        ids.filter((id) => !found.has(id)),
        loaders,
        fenceOf,
      ),
    );
    // A failure rejects the values below that wait for it; there may be none.
    loading.catch(() => undefined);
    return new Map(ids.map((id) => [id, pick(id, finding, loading)]));
  }

  /** Loads what no other instance is loading. */
  #loadOnce<I extends EntityId>(
    ids: I[],
    loaders: Loaders<I, V>,
    fenceOf: FenceOf<I>,
  ): Promise<LoadedValues<I, V>> {
    const { claims } = this.tiers;
    if (claims === null) return this.#loadInTurn(ids, loaders, fenceOf);
    return new SingleFlight(claims, this.tiers).load(
      ids,
      (mine) => this.#load(mine, loaders, fenceOf),
      (all, work) => this.#inTurn(all, fenceOf, work),
    );
  }

  #loadInTurn<I extends EntityId>(
    ids: I[],
    loaders: Loaders<I, V>,
    fenceOf: FenceOf<I>,
  ): Promise<LoadedValues<I, V>> {
    return this.#inTurn(ids, fenceOf, () => this.#load(ids, loaders, fenceOf));
  }

  #inTurn<I, T>(
    ids: readonly I[],
    fenceOf: FenceOf<I>,
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.gate === null || ids.length === 0) return work();
    if (fenceOf(ids[0]!).isNested) return work();
    for (const id of ids) fenceOf(id).waits();
    return this.gate.run(async () => {
      const fence = this.source.fence();
      for (const id of ids) {
        const waited = fenceOf(id);
        waited.begins(fence, this.#marksAfter(waited));
      }
      try {
        return await work();
      } finally {
        for (const id of ids) fenceOf(id).ends();
      }
    });
  }

  async #load<I extends EntityId>(
    ids: I[],
    { load, primary }: Loaders<I, V>,
    fenceOf: FenceOf<I>,
  ): Promise<LoadedValues<I, V>> {
    if (ids.length === 0) return new Map();
    const fence = this.source.fence();
    const position = this.source.bypass ? null : this.source.position;
    const server = this.#replica?.server ?? 0;
    const call = (some: I[]): Promise<ReadonlyMap<I, V>> =>
      this.#call(some, load);
    // All ids of a load began together.
    const marks = this.#marksAfter(fenceOf(ids[0]!));
    const { values, behind } =
      marks === null
        ? { values: await call(ids), behind: NONE }
        : await this.#replica!.load(ids, marks, call, primary);
    const hasMoved = this.#replica?.hasMoved(server) === true;
    const all = new Map<I, Loaded<V | undefined>>();
    for (const id of ids) {
      const value = values.get(id);
      const loaded = {
        value,
        fence,
        dependencies: this.#dependenciesOf(value),
        isBehind: hasMoved || behind.has(id),
        stored: NOT_STORED,
      };
      loaded.stored = this.tiers.share(String(id), loaded, position);
      all.set(id, loaded);
    }
    return all;
  }

  #marksAfter({ marks }: FlightFence): Marks | null {
    return this.#replica?.pendingAfter(marks) ?? null;
  }

  async #call<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
  ): Promise<ReadonlyMap<I, V>> {
    this.counts.loads++;
    const values = checkMap(await load(ids));
    refusePromises(ids.map((id) => values.get(id)));
    return values;
  }

  #dependenciesOf(value: V | undefined): readonly string[] | null {
    return this.dependencies === null
      ? NO_DEPENDENCIES
      : this.dependencies.of(value);
  }
}

async function pick<I, V>(
  id: I,
  finding: Promise<LoadedValues<I, V>>,
  loading: Promise<LoadedValues<I, V>>,
): Promise<Loaded<V | undefined>> {
  return (await finding).get(id) ?? (await loading).get(id)!;
}
