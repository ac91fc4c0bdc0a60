import { describeCause } from '../../errors/index.js';
import { showBytes } from '../bytes.js';
import { visible } from '../visible.js';
import {
  fail,
  ok,
  unknown,
  warn,
  type Check,
  type Finding,
} from './finding.js';
import { checkPostgresRecord } from './postgres-record-check.js';
import { checkSlot } from './postgres-slot-check.js';
import { checkPublication, checkTables } from './postgres-table-checks.js';
import { checkServer, reached } from './postgres-server-check.js';
import type { PostgresView } from './postgres-view.js';

const MEBIBYTE = 1024 * 1024;
const LONGEST_SENDER_TIMEOUT_MS = 60_000;
/** Error codes of PostgreSQL. */
const NO_RIGHTS = '42501';
const NO_ENTRY = '28000';
const TOO_MANY = '53300';

/** Checks a PostgreSQL source of invalidations. @internal */
export function postgresChecks(view: PostgresView): Check[] {
  const checks: [
    name: string,
    run: (view: PostgresView) => Promise<Finding>,
  ][] = [
    ['pg replication', checkReplication],
    ['pg wal_level', checkLevel],
    ['pg slot', checkSlot],
    ['pg publication', checkPublication],
    ['pg tables', checkTables],
    ['pg WAL limit', checkLimit],
    ['pg timeout', checkTimeout],
  ];
  const others: Check[] = checks.map(([name, run]) => ({
    name,
    run: () => reached(view, () => run(view)),
  }));
  return [
    { name: 'postgres', run: () => checkServer(view) },
    ...others,
    {
      name: 'pg record',
      run: (redis) => reached(view, () => checkPostgresRecord(view, redis)),
    },
  ];
}

async function checkReplication(view: PostgresView): Promise<Finding> {
  const { user, is_super, start } = await view.server();
  const isProxied = await view.isProxied();
  const name = `user ${visible(user, 70)}`;
  try {
    const facts = await view.replication();
    if (facts.start !== start) {
      return fail(
        'connections for queries and for replication reach two servers',
        'Give the address of one server, and no pooler.',
      );
    }
  } catch (error) {
    return notReplicating(name, isProxied, error as Error);
  }
  const more = [
    ...(is_super ? ['a superuser, where LOGIN REPLICATION would do'] : []),
    ...(isProxied ? ['through a proxy'] : []),
  ];
  return ok([`${name} may replicate`, ...more].join(', '));
}

function notReplicating(
  name: string,
  isProxied: boolean,
  error: Error,
): Finding {
  const { code } = error as { readonly code?: unknown };
  const cause = visible(describeCause(error));
  if (code === NO_RIGHTS) {
    return fail(
      `${name} may not replicate`,
      'ALTER ROLE … REPLICATION; on RDS and Aurora GRANT rds_replication TO ….',
    );
  }
  if (code === TOO_MANY) {
    return fail(
      `no connection for replication is free: ${cause}`,
      'Raise max_wal_senders, and restart: one for the holder, one for an instance that takes its place.',
    );
  }
  if (isProxied || /startup parameter/i.test(cause)) {
    return fail(
      `a pooler stands between, which lets no replication through: ${cause}`,
      "Give the server's own address, not the pooler's.",
    );
  }
  return fail(
    `${name} gets no connection for replication: ${cause}`,
    code === NO_ENTRY
      ? 'Let pg_hba.conf admit the user to this database from here.'
      : 'See the log of the server.',
  );
}

async function checkLevel(view: PostgresView): Promise<Finding> {
  const { wal_level } = await view.server();
  return wal_level === 'logical'
    ? ok('logical')
    : fail(
        `${visible(wal_level)}: the log holds no rows`,
        "ALTER SYSTEM SET wal_level = 'logical', and restart the server; managed ones have a parameter for it (docs/postgres.md).",
      );
}

async function checkLimit(view: PostgresView): Promise<Finding> {
  const { wal_keep } = await view.server();
  if (wal_keep === null) {
    return warn(
      'PostgreSQL 12 has none: a slot that nobody reads fills the disk',
      'Watch the bytes that the slot retains, or upgrade.',
    );
  }
  return wal_keep >= 0
    ? ok(`max_slot_wal_keep_size ${showBytes(wal_keep * MEBIBYTE)}`)
    : warn(
        'none: a slot that nobody reads fills the disk',
        "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(). Beyond it the mapped types are invalidated once.",
      );
}

async function checkTimeout(view: PostgresView): Promise<Finding> {
  const facts = await view.replication().catch(() => null);
  if (facts === null) return unknown('there is no connection for replication');
  const { sender_timeout, sender_timeout_ms } = facts;
  const message = `wal_sender_timeout ${sender_timeout} on the connection of a service`;
  return sender_timeout_ms > 0 && sender_timeout_ms <= LONGEST_SENDER_TIMEOUT_MS
    ? ok(message)
    : warn(
        `${message}: a holder that is cut off keeps the slot for as long`,
        'Services ask for their option timeout, 10s; a proxy or a setting of the role overrides it. ALTER ROLE … SET wal_sender_timeout = 10000.',
      );
}
