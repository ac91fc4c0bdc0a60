import { showBytes } from '../bytes.js';
import { visible } from '../visible.js';
import { fail, ok, warn, type Finding } from './finding.js';
import type { ServerFacts } from './postgres-server-view.js';
import type { PostgresView, SlotFacts } from './postgres-view.js';

const MEBIBYTE = 1024 * 1024;
/** Bytes that a slot may retain without a warning. */
const MOST_RETAINED = 1024 * MEBIBYTE;

/** Judges whether the slot is there, is read, and how much log it keeps. @internal */
export async function checkSlot(view: PostgresView): Promise<Finding> {
  const { slot: name } = view.names;
  const server = await view.server();
  const slot = await view.slot();
  if (slot === null) return missing(name, server);
  const { plugin, database, is_here } = slot;
  if (plugin !== 'pgoutput' || !is_here) {
    return fail(
      `${name} is of plugin ${visible(plugin ?? 'none')} and database ${visible(database ?? 'none')}`,
      'Give the option slot a name of its own (here --slot).',
    );
  }
  const reason = lostBy(slot);
  if (reason !== null) {
    return fail(
      `${name} is lost (${visible(reason)}): the log that it needs is gone`,
      'Start an instance: it makes a new one, and invalidates the mapped types once. If this comes again, raise max_slot_wal_keep_size, or find out why nobody reads.',
    );
  }
  return judge(name, slot, mostRetained(server));
}

function missing(name: string, { slots, max_slots }: ServerFacts): Finding {
  return slots < max_slots
    ? warn(
        `there is none of the name ${name}`,
        'The first instance creates it: see that one runs, and that the name is right (--slot).',
      )
    : fail(
        `there is none of the name ${name}, and all ${max_slots} slots of the server are in use`,
        'Drop one that nobody needs, or raise max_replication_slots and restart.',
      );
}

function lostBy({
  wal_status,
  invalidation_reason,
  conflicting,
}: SlotFacts): string | null {
  if (typeof invalidation_reason === 'string') return invalidation_reason;
  if (wal_status === 'lost') return 'wal_removed';
  return conflicting === true ? 'conflict' : null;
}

/** Half of what the server allows, if that is less. */
function mostRetained({ wal_keep }: ServerFacts): number {
  return wal_keep === null || wal_keep < 0
    ? MOST_RETAINED
    : Math.min(MOST_RETAINED, (wal_keep * MEBIBYTE) / 2);
}

function judge(name: string, slot: SlotFacts, most: number): Finding {
  const { active_pid, retained, wal_status, failover } = slot;
  const bytes = `${showBytes(retained ?? 0)} of log kept`;
  const state = [
    active_pid === null ? 'nobody reads it' : `read by process ${active_pid}`,
    bytes,
    ...(failover === true ? ['kept at a failover'] : []),
  ];
  const message = `${name}: ${state.join(', ')}`;
  if (wal_status === 'unreserved') {
    return fail(
      `${message}; it is about to be lost`,
      'Start an instance now, or the mapped types are invalidated. Raise max_slot_wal_keep_size.',
    );
  }
  if (active_pid === null) {
    return warn(
      message,
      'Start an instance, or the log grows without end; if the source is not used any more: npx nestjs-cache-invalidation postgres drop.',
    );
  }
  return (retained ?? 0) > most
    ? warn(
        `${message}, over ${showBytes(most)}`,
        'The holder is behind, or a long transaction is open: see its log, its Redis, and pg_stat_activity.',
      )
    : ok(message);
}
