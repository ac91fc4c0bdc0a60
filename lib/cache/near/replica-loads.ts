import type { EntityId } from '../../message/index.js';
import {
  EVERYTHING,
  MarkPosition,
  Marks,
  type ReplicaMarks,
} from '../../replica/index.js';
import type { LoadSource } from './cache-tiers.js';
import type { NearCacheCounts } from './near-cache-stats.js';

/**
 * Loads one entity from the primary, by its id as text.
 *
 * @internal
 */
export type LoadFromPrimary<V> = (id: string) => Promise<V> | V;

const ALL_MARKED = new Marks([['', new MarkPosition()]]);

/** A loaded value. @internal */
export interface FromReplica<V> {
  readonly value: V | undefined;
  /** Whether it came from the replica, which may not have had its last change. */
  readonly isBehind: boolean;
}

/**
 * Loads of a cache whose loader reads a replica. What the replica may not have yet comes
 * from the primary, where there is a loader for that.
 *
 * @internal
 */
export class ReplicaLoads<V> {
  constructor(
    private readonly marks: ReplicaMarks,
    private readonly source: Pick<LoadSource, 'bypass'>,
    private readonly keyOf: (name: string) => string,
    private readonly dependenciesOf: (
      value: V | undefined,
    ) => readonly string[] | null,
    private readonly counts: Pick<NearCacheCounts, 'primaryLoads'>,
  ) {}

  /** Marks that a load which begins now has to heed; `null` if there are none. */
  get pending(): Marks | null {
    // Changes that this instance has not heard of left no marks.
    if (this.source.bypass) return ALL_MARKED;
    this.marks.begin();
    if (this.marks.isBehindReader) return ALL_MARKED;
    return this.marks.pending;
  }

  /**
   * Marks of a load that begins now, for which all may have counted as marked before it
   * had to wait: reads that have joined it rely on that.
   *
   * @param earlier marks from before it waited
   */
  pendingAfter(earlier: Marks | null): Marks | null {
    return earlier === ALL_MARKED ? earlier : this.pending;
  }

  /**
   * Up to where a load that begins now sees changes; `null` if that is not known.
   *
   * @param marks of this moment
   */
  reach(marks: Marks | null, hasPrimary: boolean): string | null {
    return hasPrimary && marks === ALL_MARKED
      ? EVERYTHING
      : this.marks.replayed;
  }

  /** Whether a load with that reach shows the reader its own writes. */
  isEnough(reach: string | null): boolean {
    return this.marks.isEnough(reach);
  }

  /** To be read before a load. */
  get server(): number {
    return this.marks.server;
  }

  /** Whether a load may have met another server than the one from before it. */
  hasMoved(server: number): boolean {
    if (server === this.marks.server) return false;
    // The new one is followed at once, so that the next load may be kept.
    this.marks.begin();
    return true;
  }

  /**
   * @param marks from before the load
   * @param load of the replica
   */
  async load<I extends EntityId>(
    ids: I[],
    marks: Marks,
    load: (ids: I[]) => Promise<ReadonlyMap<I, V>>,
    primary: LoadFromPrimary<V> | null,
  ): Promise<Map<I, FromReplica<V>>> {
    const fromPrimary = async (id: I): Promise<[I, FromReplica<V>]> => {
      this.counts.primaryLoads++;
      return [id, { value: await primary!(String(id)), isBehind: false }];
    };
    const marked = ids.map((id) => marks.covers([this.keyOf(String(id))]));
    const atOnce = ids.filter((_, at) => primary !== null && marked[at]);
    const rest = ids.filter((_, at) => primary === null || !marked[at]);
    const [values, ...loaded] = await Promise.all([
      rest.length === 0 ? new Map<I, V>() : load(rest),
      ...atOnce.map(fromPrimary),
    ]);
    const others = rest.map(async (id): Promise<[I, FromReplica<V>]> => {
      const value = values.get(id);
      const isBehind = this.#isBehind(String(id), value, marks);
      if (isBehind && primary !== null) return fromPrimary(id);
      return [id, { value, isBehind }];
    });
    return new Map([...loaded, ...(await Promise.all(others))]);
  }

  #isBehind(name: string, value: V | undefined, marks: Marks): boolean {
    const dependencies = this.dependenciesOf(value) ?? [];
    return marks.covers([this.keyOf(name), ...dependencies]);
  }
}
