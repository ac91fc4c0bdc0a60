import type { Client } from 'pg';
import type { ControlClient } from './control-client.js';
import { parseLsn, type Lsn } from './lsn.js';
import { InvalidationPostgresError } from '../postgres.error.js';

/** A replication slot, as the server describes it. @internal */
export interface SlotState {
  /** The process of the connection that reads it; `null` for none. */
  readonly activePid: number | null;
  /** Whether the server has removed log that it needs. */
  readonly isLost: boolean;
  /** Changes up to here are not sent any more. */
  readonly confirmed: Lsn;
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
}

/** Error codes of PostgreSQL. */
const IN_USE = '55006';
const DUPLICATE = '42710';

/** Whether another connection has the slot, or has made it meanwhile. @internal */
export function isTaken(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === IN_USE || code === DUPLICATE;
}

/** The slot that instances share: whoever reads it announces. @internal */
export class ReplicationSlot {
  constructor(readonly name: string) {}

  /**
   * @returns `null` if there is none
   * @throws InvalidationPostgresError if the name is another kind of slot's
   */
  async read(client: ControlClient): Promise<SlotState | null> {
    const rows = await client.query<{ slot: SlotRow }>(
      `select to_jsonb(s) || jsonb_build_object('is_here', s.database = current_database()) as slot
       from pg_replication_slots s where slot_name = $1`,
      [this.name],
    );
    const slot = rows[0]?.slot;
    if (slot === undefined) return null;
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
    };
  }

  /**
   * Creates it, once every transaction that is running now has ended.
   *
   * @param replication a connection for replication
   */
  async create(replication: Client): Promise<void> {
    await replication.query(
      `CREATE_REPLICATION_SLOT "${this.name}" LOGICAL pgoutput NOEXPORT_SNAPSHOT`,
    );
  }

  async drop(client: ControlClient): Promise<void> {
    await client.query('select pg_drop_replication_slot($1)', [this.name]);
  }
}
