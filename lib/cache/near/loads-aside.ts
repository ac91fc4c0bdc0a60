import { checkEntityId, type EntityId } from '../../message/index.js';
import type { LoadMany } from './cache-loader.js';
import { checkMap } from './load-results.js';
import type { NearCacheCounts } from './near-cache-stats.js';

/**
 * Loads of reads that bypass a near cache: nothing is joined or kept.
 *
 * @internal
 */
export class LoadsAside<V> {
  constructor(
    private readonly counts: Pick<NearCacheCounts, 'misses' | 'loads'>,
  ) {}

  async load<T>(
    load: () => Promise<T> | T,
    ids: readonly EntityId[],
  ): Promise<T> {
    for (const id of ids) checkEntityId(id);
    this.counts.misses++;
    this.counts.loads++;
    return load();
  }

  async loadMany<I extends EntityId>(
    ids: readonly I[],
    loadMany: LoadMany<I, V>,
  ): Promise<Map<I, V>> {
    const distinct = [...new Set(ids)];
    if (distinct.length === 0) return new Map();
    const loaded = await this.load(() => loadMany(distinct), distinct);
    const values = checkMap(loaded);
    return existing(distinct.map((id) => [id, values.get(id)]));
  }
}

/** The entities that exist. @internal */
export function existing<I, V>(
  values: readonly (readonly [I, V | undefined])[],
): Map<I, V> {
  return new Map(
    values.filter((pair): pair is readonly [I, V] => pair[1] !== undefined),
  );
}
