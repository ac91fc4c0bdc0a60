import type { Announcement } from './announcer.js';
import { ChangeSet } from '../mapping/change-set.js';
import type { Snapshot } from './snapshot.js';
import type { SourcePlace } from './source-place.js';
import { widenTable } from '../mapping/table-mapper.js';
import type { TableMappings } from '../mapping/table-mapping.js';
import type { Commit } from './transaction-reader.js';

/** The announcement of a transaction, which is not visible yet if it says anything. @internal */
export function ofCommit(commit: Commit, place: SourcePlace): Announcement {
  const invalidations = commit.changes.invalidations();
  return {
    invalidations,
    size: commit.changes.size,
    place,
    transaction: `${commit.xid} ${commit.time}`,
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
