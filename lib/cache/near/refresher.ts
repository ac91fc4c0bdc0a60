import type { EntityId } from '../../message/index.js';
import type { Loaders } from './cache-loader.js';
import type { Flights } from './flights.js';
import type { L1Entry } from './l1-tier.js';

/**
 * Replaces entries in memory that have reached a certain age, while reads get the
 * old value. It is right as far as invalidations tell; whatever they evict is loaded
 * by its readers.
 *
 * @internal
 */
export class Refresher<V> {
  constructor(
    /** The age in milliseconds. */
    private readonly refreshAfter: number,
    private readonly flights: Pick<Flights<V>, 'find' | 'start'>,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** Whether the reader of an entry must start its refresh. */
  isDue(entry: L1Entry<V>): boolean {
    const now = performance.now();
    if (now < entry.refreshAt) return false;
    // A refresh that fails is tried again after this time, not by the next read.
    entry.refreshAt = now + this.refreshAfter;
    return this.flights.find(entry.name) === null;
  }

  /** Starts one load for entries that are due. */
  start<I extends EntityId>(
    ids: I[],
    loaders: Loaders<I, V>,
    isOfMany: boolean,
  ): void {
    const started = this.flights.start(ids, loaders, isOfMany, true);
    Promise.all(started.values()).catch(this.onFailure);
  }
}
