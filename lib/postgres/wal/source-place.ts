import { formatLsn, parseLsn, type Lsn } from '../../message/index.js';

/** The server, and the tables, that a place in the log belongs to. @internal */
export interface SourceIdentity {
  /** The system identifier of the server, equal on its standbys. */
  readonly server: string;
  /** The server's timeline: a promoted standby begins another one. */
  readonly timeline: string;
  /** A digest of when it started: after a crash, commits that others saw may be gone. */
  readonly start: string;
  /** A digest of the mappings and of the definitions of their tables. */
  readonly tables: string;
}

/** Up to where the changes of a database are announced. @internal */
export interface SourcePlace {
  readonly identity: SourceIdentity;
  readonly lsn: Lsn;
}

/**
 * Why every mapped type is invalidated when an instance takes the slot.
 *
 * - `first-start`: there is no record of an earlier holder
 * - `other-server`, `timeline`: the server is another one, or was promoted or restored
 * - `restart`: the server was started again, and may have lost commits that others saw
 * - `rewound`: the server's log ends before the recorded place: it was restored
 * - `slot`: the slot is beyond the recorded place: it was recreated or moved, or Redis has
 *   lost the record
 * - `definition`: a mapping, or the definition of a mapped table, changed meanwhile
 *
 * @publicApi
 */
export type SourceWidening =
  | 'restart'
  | 'first-start'
  | 'other-server'
  | 'timeline'
  | 'rewound'
  | 'slot'
  | 'definition';

/** Writes a place without spaces. @internal */
export function formatPlace({ identity, lsn }: SourcePlace): string {
  const { server, timeline, start, tables } = identity;
  return `${server}.${timeline}.${start}.${tables}@${formatLsn(lsn)}`;
}

/** @internal */
export function parsePlace(text: string | null): SourcePlace | null {
  const [names = '', position = ''] = (text ?? '').split('@');
  const [server, timeline, start, tables] = names.split('.');
  const lsn = parseLsn(position);
  return server && timeline && start && tables && lsn !== null
    ? { identity: { server, timeline, start, tables }, lsn }
    : null;
}

/** The state of the slot, once this instance has it. @internal */
export interface HeldSlot {
  readonly identity: SourceIdentity;
  /** Changes up to here are not sent any more. */
  readonly confirmed: Lsn;
  /** The end of the server's log. */
  readonly walEnd: Lsn;
}

/**
 * Whether changes may have been missed since the recorded place. The record always moves
 * before the slot does, so a slot beyond the record was not moved by a holder.
 *
 * @returns `null` if everything since then will be sent
 * @internal
 */
export function missedSince(
  recorded: SourcePlace | null,
  { identity, confirmed, walEnd }: HeldSlot,
): SourceWidening | null {
  if (recorded === null) return 'first-start';
  if (recorded.identity.server !== identity.server) return 'other-server';
  if (recorded.identity.timeline !== identity.timeline) return 'timeline';
  if (recorded.identity.start !== identity.start) return 'restart';
  if (walEnd < recorded.lsn) return 'rewound';
  if (confirmed > recorded.lsn) return 'slot';
  return recorded.identity.tables === identity.tables ? null : 'definition';
}
