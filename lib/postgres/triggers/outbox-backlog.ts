import { InvalidationPostgresError } from '../postgres.error.js';
import { SERVER_START } from '../server-start.js';
import type { PostgresTransaction } from './trigger-database.js';

/** Rows that are counted at the most. */
const MOST_ROWS = 10_000;

/** The rows that wait in the outbox. @internal */
export interface OutboxBacklog {
  /** Their number, up to 10,000. */
  readonly waiting: number;
  /** Milliseconds since the first of them was written. */
  readonly age: number;
  /** The snapshot that they are counted in. */
  readonly snapshot: string;
  /** The start of the server. */
  readonly start: string;
  /** Whether all rows are announced that an earlier snapshot sees. */
  readonly isDrained: boolean;
}

/**
 * Looks what waits in the outbox. A row is there until it is announced, also while a drain
 * has it.
 *
 * @param outbox the quoted name of the table
 * @param earlier a snapshot; `null` for none
 * @throws InvalidationPostgresError if rows may be hidden, and what PostgreSQL answers
 * @internal
 */
export async function readBacklog(
  transaction: PostgresTransaction,
  outbox: string,
  earlier: string | null,
): Promise<OutboxBacklog> {
  const { rows } = await transaction.query(
    `with head as materialized (
       select created from ${outbox} order by xid, id limit ${MOST_ROWS})
     select (select count(*) from head)::text as waiting,
       (select coalesce(extract(epoch from clock_timestamp()) - extract(epoch from min(created)), 0) * 1000 from head)::text as age,
       txid_current_snapshot()::text as snapshot, ${SERVER_START} as start,
       row_security_active($2) as is_hidden,
       $1::text is not null and not exists (
         select from ${outbox} where xid < txid_snapshot_xmax($1::text::txid_snapshot)
           and txid_visible_in_snapshot(xid, $1::text::txid_snapshot)) as is_drained`,
    [earlier, outbox],
  );
  const [row] = rows as readonly {
    readonly waiting: string;
    readonly age: string;
    readonly snapshot: string;
    readonly start: string;
    readonly is_hidden: boolean;
    readonly is_drained: boolean;
  }[];
  if (row!.is_hidden) {
    throw new InvalidationPostgresError(
      'Row security may hide rows of the outbox.',
      `ALTER TABLE ${outbox} DISABLE ROW LEVEL SECURITY, or give the role BYPASSRLS.`,
    );
  }
  return {
    waiting: Number(row!.waiting),
    age: Math.max(0, Number(row!.age)),
    snapshot: row!.snapshot,
    start: row!.start,
    isDrained: row!.is_drained,
  };
}
