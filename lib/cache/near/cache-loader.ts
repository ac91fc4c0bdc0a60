import type { EntityId } from '../../message/index.js';
import type { Marks, ReplicaMarks } from '../../replica/index.js';
import { isPromiseLike } from '../../stream/index.js';
import { NO_DEPENDENCIES, type Dependencies } from '../dependencies.js';
import type { CacheTiers, Loaded, LoadSource } from './cache-tiers.js';
import type { NearCacheCounts } from './near-cache-stats.js';
import {
  ReplicaLoads,
  type FromReplica,
  type LoadFromPrimary,
} from './replica-loads.js';

/**
 * Loads several entities at once; ids that its map does not have do not exist.
 *
 * @internal
 */
export type LoadMany<I extends EntityId, V> = (
  ids: I[],
) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>;

type LoadedValues<I, V> = ReadonlyMap<I, Loaded<V | undefined>>;

/**
 * Fetches values that memory does not have: from the second tier, and the rest in
 * one call of the reader's loader.
 *
 * @internal
 */
export class CacheLoader<V> {
  /** `null` where the loader reads the primary. */
  readonly #replica: ReplicaLoads<V> | null;

  constructor(
    private readonly tiers: CacheTiers<V>,
    private readonly source: LoadSource,
    private readonly dependencies: Dependencies<V> | null,
    private readonly counts: NearCacheCounts,
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

  /** @returns each id's value, which is there sooner if the second tier has it */
  fetch<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
    primary: LoadFromPrimary<V> | null,
  ): Map<I, Promise<Loaded<V | undefined>>> {
    const finding = this.tiers.find(ids);
    if (finding === null) {
      const loading = this.#load(ids, load, primary);
      return new Map(
        ids.map((id) => [id, loading.then((values) => values.get(id)!)]),
      );
    }
    const loading = finding.then((found) =>
      this.#load(
        ids.filter((id) => !found.has(id)),
        load,
        primary,
      ),
    );
    // A failure rejects the values below that wait for it; there may be none.
    loading.catch(() => undefined);
    return new Map(ids.map((id) => [id, pick(id, finding, loading)]));
  }

  async #load<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
    primary: LoadFromPrimary<V> | null,
  ): Promise<LoadedValues<I, V>> {
    const fence = this.source.fence();
    const position = this.source.bypass ? null : this.source.position;
    const server = this.#replica?.server ?? 0;
    const answers = await this.#answers(ids, load, primary);
    const hasMoved = this.#replica?.hasMoved(server) === true;
    const all = new Map<I, Loaded<V | undefined>>();
    for (const [id, { value, isBehind }] of answers) {
      const loaded = {
        value,
        fence,
        dependencies: this.#dependenciesOf(value),
        isBehind: isBehind || hasMoved,
      };
      all.set(id, loaded);
      this.tiers.share(String(id), loaded, position);
    }
    return all;
  }

  async #answers<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
    primary: LoadFromPrimary<V> | null,
  ): Promise<ReadonlyMap<I, FromReplica<V>>> {
    if (ids.length === 0) return new Map();
    const { marks } = this;
    if (marks !== null) {
      return this.#replica!.load(
        ids,
        marks,
        (some) => this.#call(some, load),
        primary,
      );
    }
    const values = await this.#call(ids, load);
    return new Map(
      ids.map((id) => [id, { value: values.get(id), isBehind: false }]),
    );
  }

  async #call<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
  ): Promise<ReadonlyMap<I, V>> {
    this.counts.loads++;
    const values = await load(ids);
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

/** Untyped callers may pass promises, whose values would be kept unchecked. */
function refusePromises(values: readonly unknown[]): void {
  if (!values.some(isPromiseLike)) return;
  // Handles their rejections.
  void Promise.allSettled(values);
  throw new TypeError(
    'loadMany returned a map of promises: return a map of what they resolve to.',
  );
}
