import type { EntityId } from '../../message/index.js';
import { isPromiseLike } from '../../stream/index.js';
import { NO_DEPENDENCIES, type Dependencies } from '../dependencies.js';
import type { CacheTiers, Loaded, LoadSource } from './cache-tiers.js';
import type { NearCacheCounts } from './near-cache-stats.js';

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
  constructor(
    private readonly tiers: CacheTiers<V>,
    private readonly source: LoadSource,
    private readonly dependencies: Dependencies<V> | null,
    private readonly counts: NearCacheCounts,
  ) {}

  /** @returns each id's value, which is there sooner if the second tier has it */
  fetch<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
  ): Map<I, Promise<Loaded<V | undefined>>> {
    const finding = this.tiers.find(ids);
    if (finding === null) {
      const loading = this.#load(ids, load);
      return new Map(
        ids.map((id) => [id, loading.then((values) => values.get(id)!)]),
      );
    }
    const loading = finding.then((found) =>
      this.#load(
        ids.filter((id) => !found.has(id)),
        load,
      ),
    );
    // A failure rejects the values below that wait for it; there may be none.
    loading.catch(() => undefined);
    return new Map(ids.map((id) => [id, pick(id, finding, loading)]));
  }

  async #load<I extends EntityId>(
    ids: I[],
    load: LoadMany<I, V>,
  ): Promise<LoadedValues<I, V>> {
    const fence = this.source.fence();
    const { position } = this.source;
    let values: ReadonlyMap<I, V> = new Map();
    if (ids.length > 0) {
      this.counts.loads++;
      values = await load(ids);
      refusePromises(ids.map((id) => values.get(id)));
    }
    const all = new Map<I, Loaded<V | undefined>>();
    for (const id of ids) {
      const value = values.get(id);
      const loaded = {
        value,
        fence,
        dependencies: this.#dependenciesOf(value),
      };
      all.set(id, loaded);
      this.tiers.share(String(id), loaded, position);
    }
    return all;
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
