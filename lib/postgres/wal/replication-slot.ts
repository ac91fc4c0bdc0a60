import type { Client } from 'pg';
import type { ControlClient } from './control-client.js';
import { parseLsn, type Lsn } from '../../message/index.js';
import { InvalidationPostgresError } from '../postgres.error.js';

/** A replication slot, as the server describes it. @internal */
export interface SlotState {
  /** The process of the connection that reads it; `null` for none. */
  readonly activePid: number | null;
  /** Whether the server has removed log that it needs. */
  readonly isLost: boolean;
  /** Changes up to here are not sent any more. */
  readonly confirmed: Lsn;
  /** Bytes of the log that the server keeps for it; `null` if it is lost. */
  readonly retainedBytes: number | null;
  /** Bytes until the server gives it up; `null` for no bound, or before version 13. */
  readonly spareBytes: number | null;
  /** The end of the log: every commit that is visible is before it. */
  readonly logEnd: Lsn;
  /** The server's clock, in milliseconds since 1970. */
  readonly serverTime: number;
}

/** Columns that some versions do not have are absent. */
interface SlotRow {
  readonly active_pid: number | null;
  readonly plugin: string | null;
  readonly is_here: boolean;
  readonly wal_status?: string | null;
  readonly invalidation_reason?: string | null;
  readonly conflicting?: boolean | null;
  readonly confirmed_flush_lsn: string | null;
  readonly safe_wal_size?: number | null;
}

/** Headers of a page of the log, which are no part of what is sent. */
const PAGE_HEADERS = [24, 40];

/** Commits that are not flushed may be visible, so the end is not that of what was flushed. */
const SLOT = `
select to_jsonb(s) || jsonb_build_object('is_here', s.database = current_database()) as slot,
  pg_wal_lsn_diff(log_end, s.restart_lsn)::float8 as retained,
  log_end::text, (pg_wal_lsn_diff(log_end, '0/0') % current_setting('wal_block_size')::int)::int as in_page,
  extract(epoch from clock_timestamp())::float8 * 1000 as server_time
from pg_replication_slots s, (select pg_current_wal_insert_lsn() as log_end) l
where slot_name = $1`;

/** Error codes of PostgreSQL. */
const IN_USE = '55006';
const DUPLICATE = '42710';

/** Whether PostgreSQL has refused a slot since another connection reads it. @internal */
export function isTaken(error: unknown): boolean {
  return codeOf(error) === IN_USE;
}

/** The slot that instances share: whoever reads it announces. @internal */
export class ReplicationSlot {
  constructor(readonly name: string) {}

  /**
   * @returns `null` if there is none
   * @throws InvalidationPostgresError if the name is another kind of slot's
   */
  async read(client: ControlClient): Promise<SlotState | null> {
    const [row] = await client.query<{
      slot: SlotRow;
      retained: number | null;
      log_end: string;
      in_page: number;
      server_time: number;
    }>(SLOT, [this.name]);
    if (row === undefined) return null;
    const { slot, in_page: inPage } = row;
    const header = PAGE_HEADERS.includes(inPage) ? inPage : 0;
    if (slot.plugin !== 'pgoutput' || !slot.is_here) {
      throw new InvalidationPostgresError(
        `The replication slot ${this.name} is of another plugin, or of another database.`,
        'Give the option slot a name of its own.',
      );
    }
    return {
      activePid: slot.active_pid,
      isLost:
        slot.wal_status === 'lost' ||
        typeof slot.invalidation_reason === 'string' ||
        slot.conflicting === true,
      confirmed: parseLsn(slot.confirmed_flush_lsn ?? '') ?? 0n,
      retainedBytes: row.retained,
      spareBytes: slot.safe_wal_size ?? null,
      logEnd: (parseLsn(row.log_end) ?? 0n) - BigInt(header),
      serverTime: row.server_time,
    };
  }

  /**
   * Creates it, once every transaction that is running now has ended.
   *
   * @param replication a connection for replication
   * @returns `false` if another instance has made it meanwhile
   */
  async create(replication: Client): Promise<boolean> {
    try {
      await replication.query(
        `CREATE_REPLICATION_SLOT "${this.name}" LOGICAL pgoutput NOEXPORT_SNAPSHOT`,
      );
      return true;
    } catch (error) {
      if (codeOf(error) === DUPLICATE) return false;
      throw error;
    }
  }

  async drop(client: ControlClient): Promise<void> {
    await client.query('select pg_drop_replication_slot($1)', [this.name]);
  }
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown }).code;
}
