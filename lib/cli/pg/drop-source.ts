import { quoteIdentifier } from '../../common/index.js';
import { describeCause } from '../../errors/index.js';
import { showBytes } from '../bytes.js';
import { visible } from '../visible.js';
import { PostgresCommandError } from './postgres-command.error.js';
import type { PostgresLink } from './postgres-link.js';
import type { PostgresNames } from './postgres-settings.js';

/** Error codes of PostgreSQL. */
const IN_USE = '55006';
const NO_RIGHTS = '42501';

/** Whether something was there, and is gone. @internal */
export type Dropped = 'dropped' | 'absent';

/** @internal */
export interface DropResult {
  readonly slot: Dropped;
  /** Bytes of the log that the slot kept; `null` if it kept none. */
  readonly released: number | null;
  readonly publication: Dropped;
}

interface SlotRow {
  readonly plugin: string | null;
  readonly database: string | null;
  readonly is_here: boolean;
  readonly active_pid: number | null;
  readonly retained: string | null;
}

const SLOT = `
select plugin, database::text, database = current_database() as is_here, active_pid,
  pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
    else pg_current_wal_lsn() end, restart_lsn)::text as retained
from pg_replication_slots where slot_name = $1`;

/**
 * Drops the slot first, since it keeps log, and then the publication.
 *
 * @throws PostgresCommandError if the slot is read, or is something else
 * @internal
 */
export async function dropSource(
  link: PostgresLink,
  { slot, publication }: PostgresNames,
): Promise<DropResult> {
  const [found] = await link.query<SlotRow>(SLOT, [slot]);
  if (found !== undefined) await dropSlot(link, slot, found);
  const retained = Number(found?.retained ?? 0);
  return {
    slot: found === undefined ? 'absent' : 'dropped',
    released: retained > 0 ? retained : null,
    publication: await dropPublication(link, publication),
  };
}

/** The result for people. @internal */
export function dropText(
  { slot, publication }: PostgresNames,
  result: DropResult,
): string[] {
  const { released } = result;
  const log =
    released === null ? '' : `; it kept ${showBytes(released)} of log`;
  return [
    result.slot === 'dropped'
      ? `slot         ${slot} dropped${log}`
      : `slot         there is none of the name ${slot}`,
    result.publication === 'dropped'
      ? `publication  ${publication} dropped`
      : `publication  there is none of the name ${publication}`,
  ];
}

async function dropSlot(
  link: PostgresLink,
  slot: string,
  { plugin, database, is_here, active_pid }: SlotRow,
): Promise<void> {
  if (plugin !== 'pgoutput' || !is_here) {
    throw new PostgresCommandError(
      `The slot ${slot} is none of a source of this database: plugin ${visible(plugin ?? 'none')}, database ${visible(database ?? 'none')}.`,
      'Nothing was dropped. See --slot and the database of the URL.',
    );
  }
  if (active_pid !== null) throw inUse(slot, active_pid);
  try {
    await link.query('select pg_drop_replication_slot($1)', [slot]);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === IN_USE) {
      const [now] = await link.query<SlotRow>(SLOT, [slot]);
      throw inUse(slot, now?.active_pid ?? null);
    }
    throw failed(`The slot ${slot}`, error as Error);
  }
}

async function dropPublication(
  link: PostgresLink,
  publication: string,
): Promise<Dropped> {
  const rows = await link.query(
    'select 1 from pg_publication where pubname = $1',
    [publication],
  );
  if (rows.length === 0) return 'absent';
  const command = `DROP PUBLICATION ${quoteIdentifier(publication)}`;
  try {
    await link.query(command);
    return 'dropped';
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code !== NO_RIGHTS) {
      throw failed(`The publication ${publication}`, error as Error);
    }
    throw new PostgresCommandError(
      `The user may not drop the publication ${publication}; the slot is gone.`,
      `Run as its owner: ${command}`,
      error,
    );
  }
}

function inUse(slot: string, pid: number | null): PostgresCommandError {
  const reader = pid === null ? 'another process' : `process ${pid}`;
  return new PostgresCommandError(
    `The slot ${slot} is read by ${reader} of the server; nothing was dropped.`,
    pid === null
      ? 'Stop the services that have this source first.'
      : `Stop the services that have this source first; SELECT client_addr, application_name FROM pg_stat_replication WHERE pid = ${pid} tells which one reads.`,
  );
}

function failed(what: string, cause: Error): PostgresCommandError {
  return new PostgresCommandError(
    `${what} was not dropped: ${describeCause(cause)}.`,
    'Give the user the attribute REPLICATION, or run it as the administrator.',
    cause,
  );
}
