import { withDeadline } from '../common/index.js';
import type { RelayPlace, RelayRecord } from '../transport/index.js';
import type { ControlClient } from './control-client.js';
import { parseLsn, type Lsn } from './lsn.js';
import type { PostgresSourceOptions } from './postgres.options.js';
import { InvalidationPostgresError } from './postgres.error.js';
import type { ReplicationSlot } from './replication-slot.js';
import { ReplicationStream } from './replication-stream.js';
import type { SlotLinks } from './slot-election.js';
import {
  missedSince,
  parsePlace,
  type SourcePlace,
  type SourceWidening,
} from './source-place.js';
import { TableCatalog } from './table-catalog.js';

/** Where a holder begins. @internal */
export interface SessionStart {
  readonly stream: ReplicationStream;
  readonly catalog: TableCatalog;
  /** The place of the record in Redis. */
  readonly recorded: RelayPlace;
  /** Everything up to here is announced, or covered by the widening. */
  readonly place: SourcePlace;
  /** Why every mapped type is to be invalidated first; `null` if nothing was missed. */
  readonly missed: SourceWidening | null;
}

/**
 * Takes the slot, and then compares it with the record: only then no other holder moves
 * either of them, but for one call that may be on its way.
 *
 * @throws what PostgreSQL or Redis answers
 * @internal
 */
export async function startSession(
  options: PostgresSourceOptions,
  slot: ReplicationSlot,
  record: RelayRecord,
  { control, replication }: SlotLinks,
): Promise<SessionStart> {
  const { timeout, tables, publication } = options;
  const stream = new ReplicationStream(slot.name, publication);
  const identified = replication.query<{ systemid: string; timeline: string }>(
    'IDENTIFY_SYSTEM',
  );
  const { rows } = await within(timeout, identified);
  await within(timeout, stream.start(replication));
  const { place: recorded } = await record.read();
  const [held, walEnd, catalog] = await Promise.all([
    slot.read(control),
    readWalEnd(control),
    TableCatalog.read(control, tables),
  ]);
  const identity = {
    server: String(rows[0]?.systemid),
    timeline: String(rows[0]?.timeline),
    tables: catalog.digest,
  };
  const confirmed = held?.confirmed ?? 0n;
  const last = parsePlace(recorded.offset);
  const missed = missedSince(last, { identity, confirmed, walEnd });
  const lsn = missed === null ? last!.lsn : confirmed;
  return { stream, catalog, recorded, place: { identity, lsn }, missed };
}

/** Read after the record, which a former holder may have moved a moment before. */
async function readWalEnd(control: ControlClient): Promise<Lsn> {
  const rows = await control.query<{ lsn: string | null }>(
    `select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
       else pg_current_wal_flush_lsn() end::text as lsn`,
  );
  return parseLsn(rows[0]?.lsn ?? '') ?? 0n;
}

function within<T>(timeout: number, answer: Promise<T>): Promise<T> {
  return withDeadline(
    timeout,
    answer,
    () =>
      new InvalidationPostgresError(
        `PostgreSQL did not answer within ${timeout} ms.`,
        'Trying again.',
      ),
  );
}
