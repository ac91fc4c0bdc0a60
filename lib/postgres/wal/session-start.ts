import { withDeadline } from '../../common/index.js';
import type { RelayPlace, RelayRecord } from '../../transport/index.js';
import type { ControlClient } from './control-client.js';
import { SENDS_MESSAGES } from './logical-message.js';
import { parseLsn } from '../../message/index.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import { SERVER_START } from '../server-start.js';
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

/** The beginning of a holder. @internal */
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
  const { rows: servers } = await within(
    timeout,
    replication.query<{ systemid: string; timeline: string }>(
      'IDENTIFY_SYSTEM',
    ),
  );
  const { rows: starts } = await within(
    timeout,
    replication.query<ServerState>(STATE),
  );
  const sendsMessages = (starts[0]?.version ?? 0) >= SENDS_MESSAGES;
  const stream = new ReplicationStream(slot.name, publication, sendsMessages);
  await within(timeout, stream.start(replication));
  const { place: recorded } = await record.read();
  const held = await slot.read(control);
  const [now] = await control.query<ServerState>(STATE);
  const catalog = await TableCatalog.read(control, tables, publication);
  const start = starts[0]?.start ?? '';
  const isOneServer =
    now?.start === start && held?.activePid === starts[0]?.pid;
  if (!isOneServer || held === null) {
    throw new InvalidationPostgresError(
      'The connections for queries and for replication reach two servers.',
      'Give the address of one server, and no pooler.',
    );
  }
  const identity = {
    server: String(servers[0]?.systemid),
    timeline: String(servers[0]?.timeline),
    start,
    tables: catalog.digest,
  };
  const { confirmed } = held;
  const walEnd = parseLsn(now?.wal_end ?? '') ?? 0n;
  const last = parsePlace(recorded.offset);
  const missed = missedSince(last, { identity, confirmed, walEnd });
  // A place in an earlier log means nothing in this one.
  const lsn = missed === null ? last!.lsn : confirmed;
  if (missed !== null) await assignXid(control);
  return { stream, catalog, recorded, place: { identity, lsn }, missed };
}

interface ServerState {
  readonly start: string;
  /** The process of this connection. */
  readonly pid: number;
  readonly wal_end: string | null;
  readonly version: number;
}

/** The log's end is read after the record, which a former holder may have moved a moment before. */
const STATE = `
select pg_backend_pid() as pid, ${SERVER_START} as start,
  pg_current_wal_flush_lsn()::text as wal_end,
  current_setting('server_version_num')::int as version`;

/**
 * Assigns an id to a transaction of ours: later snapshots then list every earlier one that
 * is in progress, also those that have the latest ids.
 */
async function assignXid(control: ControlClient): Promise<void> {
  await control.query('select txid_current()');
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
