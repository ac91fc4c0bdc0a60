import {
  formatLsn,
  type CommitPosition,
  type Invalidation,
} from '../../message/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import { uuidOf } from '../derived-id.js';
import { ChangeSet } from '../mapping/change-set.js';
import type { Snapshot } from './snapshot.js';
import type { SourcePlace } from './source-place.js';
import { widenTable } from '../mapping/table-mapper.js';
import type { TableMappings } from '../mapping/table-mapping.js';
import type { Commit } from './transaction-reader.js';
import type { Gated } from './visibility-gate.js';

/**
 * Invalidations that leave together, and the place of the record once they are out.
 *
 * @internal
 */
export interface Announcement extends Gated {
  readonly invalidations: readonly Invalidation[];
  /** Number of keys and patterns. */
  readonly size: number;
  readonly place: SourcePlace;
  /** Names the transaction, which may be sent again; `null` if it is none. */
  readonly transaction: string | null;
  /**
   * The beginning of the commit's record: a replica that has replayed more has replayed
   * the commit, also while nothing follows it. `null` if it is no transaction.
   */
  readonly at: CommitPosition | null;
  /** When it was committed, in microseconds since 2000; `null` if it is no transaction. */
  readonly committedAt: bigint | null;
}

/** How far an announcement has come. `early`: it was late, and is to be repeated. @internal */
export type Stage = 'waiting' | 'early' | 'announced';

/**
 * @param slot its name, which is part of the ids
 * @returns the payloads
 * @internal
 */
export function encodeAnnouncement(
  { invalidations, place, transaction, at }: Announcement,
  stage: Stage,
  slot: string,
  outlet: SourceOutlet,
): string[] {
  if (transaction === null) return outlet.encode(invalidations, at, null);
  const position = formatLsn(place.lsn);
  const { server, timeline } = place.identity;
  // After a failover another transaction may have the position.
  const name = `${server} ${timeline} ${slot} ${position} ${transaction} ${stage}`;
  return outlet.encode(invalidations, at, (index, content) =>
    uuidOf(`${name} ${index} ${content}`),
  );
}

/** The announcement of a transaction, which is not visible yet if it says anything. @internal */
export function ofCommit(commit: Commit, place: SourcePlace): Announcement {
  const invalidations = commit.changes.invalidations();
  return {
    invalidations,
    size: commit.changes.size,
    place,
    transaction: `${commit.xid} ${commit.time}`,
    at: { pg: formatLsn(commit.start) },
    committedAt: commit.time,
    isVisible: invalidations.length === 0,
    isLate: false,
    isSeenBy: (snapshot) => snapshot.sees(commit.xid),
  };
}

/** Moves the record without an invalidation. @internal */
export function ofPlace(place: SourcePlace): Announcement {
  return ofDefinitions({}, [], place);
}

/** The types of tables whose definitions have changed, which everybody sees. @internal */
export function ofDefinitions(
  tables: TableMappings,
  names: readonly string[],
  place: SourcePlace,
): Announcement {
  const changes = new ChangeSet(1, () => {});
  for (const name of names) widenTable(tables[name]!, changes);
  return {
    invalidations: changes.invalidations(),
    size: changes.size,
    place,
    transaction: null,
    at: null,
    committedAt: null,
    isVisible: true,
    isLate: false,
    isSeenBy: () => true,
  };
}

/**
 * The types of all tables. It is visible once all transactions have ended that were in
 * progress in the first snapshot: one of them may have committed, unseen and unsent.
 *
 * @internal
 */
export function ofEverythingMapped(
  tables: TableMappings,
  place: SourcePlace,
): Announcement {
  let awaited: readonly number[] | null = null;
  return {
    ...ofDefinitions(tables, Object.keys(tables), place),
    isVisible: false,
    isSeenBy: (snapshot: Snapshot) => {
      awaited ??= [...snapshot.inProgress];
      return awaited.every((xid) => snapshot.sees(xid));
    },
  };
}
