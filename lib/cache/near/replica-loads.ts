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

/** Loaded values. @internal */
export interface Answers<I, V> {
  readonly values: ReadonlyMap<I, V | undefined>;
  /** Ids whose values are a replica's, which may not have had their last change. */
  readonly behind: ReadonlySet<I>;
}

/** No id. @internal */
export const NONE: ReadonlySet<never> = new Set();

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
  ): Promise<Answers<I, V>> {
    if (primary === null) {
      const values = await load(ids);
      const behind = ids.filter((id) =>
        this.#isBehind(id, values.get(id), marks),
      );
      return { values, behind: new Set(behind) };
    }
    const isMarked = (id: I): boolean => marks.covers([this.keyOf(String(id))]);
    const atOnce = ids.filter(isMarked);
    const rest = ids.filter((id) => !isMarked(id));
    const values = new Map<I, V | undefined>();
    const fromPrimary = async (id: I): Promise<void> => {
      this.counts.primaryLoads++;
      values.set(id, await primary(String(id)));
    };
    const fromReplica = async (): Promise<void> => {
      if (rest.length === 0) return;
      const found = await load(rest);
      for (const id of rest) values.set(id, found.get(id));
      const behind = rest.filter((id) =>
        this.#isBehind(id, found.get(id), marks),
      );
      await Promise.all(behind.map(fromPrimary));
    };
    await Promise.all([fromReplica(), ...atOnce.map(fromPrimary)]);
    return { values, behind: NONE };
  }

  #isBehind(id: EntityId, value: V | undefined, marks: Marks): boolean {
    const dependencies = this.dependenciesOf(value) ?? [];
    return marks.covers([this.keyOf(String(id)), ...dependencies]);
  }
}
