import { relayKey } from '../../transport/index.js';
import { showBytes } from '../bytes.js';
import type { RedisLink } from '../redis-link.js';
import { visible } from '../visible.js';
import { ok, unknown, warn, type Finding } from './finding.js';
import type {
  PostgresView,
  ReplicationFacts,
  SlotFacts,
} from './postgres-view.js';

/** System identifier, timeline, start and digest of the tables; place in the log. */
const RECORD = /^([^.@]+)\.([^.@]+)\.([^.@]+)\.[^.@]+@([0-9A-F]+\/[0-9A-F]+)$/i;

const ONCE =
  'The next instance that takes the slot invalidates the mapped types once.';

/** Judges whether the record in Redis and the slot belong together. @internal */
export async function checkPostgresRecord(
  view: PostgresView,
  redis: RedisLink,
): Promise<Finding> {
  // A holder moves the record before the slot, so the slot is read first.
  const slot = await view.slot();
  const key = relayKey(redis.target.channel, `postgres:${view.names.slot}`);
  const [text = null] = await redis.within(
    'HMGET',
    redis.client.hmget(key, 'offset'),
  );
  if (text === null) return none(slot);
  const [, system, timeline, start, place = ''] = RECORD.exec(text) ?? [];
  const recorded = lsnOf(place);
  if (recorded === null) {
    return warn(`it cannot be read: ${visible(text, 60)}`, ONCE);
  }
  const server = await view.replication().catch(() => null);
  if (server === null) {
    return unknown(
      'it cannot be compared without a connection for replication',
    );
  }
  const end = lsnOf(await view.logEnd()) ?? 0n;
  const confirmed = lsnOf(slot?.confirmed_flush_lsn ?? '');
  const change = changed({ system, timeline, start }, server);
  const at = `at ${visible(place)}`;
  if (change !== null) return warn(`${at}, ${change}`, ONCE);
  if (end < recorded) {
    return warn(
      `${at}, beyond the end of the log: the server was restored`,
      ONCE,
    );
  }
  if (confirmed === null) return warn(`${at}, without a slot`, ONCE);
  return confirmed > recorded
    ? warn(
        `${at}, and the slot is beyond it: the slot is new or was moved, or Redis has lost the record's last changes`,
        ONCE,
      )
    : ok(
        `${at}, ${showBytes(Number(end - recorded))} behind the end of the log`,
      );
}

function none(slot: SlotFacts | null): Finding {
  return typeof slot?.active_pid === 'number'
    ? warn(
        'none, although the slot is read: its reader announces elsewhere',
        'See --url and --channel, and that no other application uses the slot.',
      )
    : warn(
        'none: nothing was announced yet',
        'The first instance that takes the slot begins it, and invalidates the mapped types once.',
      );
}

function changed(
  recorded: Partial<Record<'system' | 'timeline' | 'start', string>>,
  now: ReplicationFacts,
): string | null {
  if (recorded.system !== now.system) return 'of another server';
  if (recorded.timeline !== now.timeline) {
    return 'of another timeline: a standby was promoted, or a backup restored';
  }
  return recorded.start === now.start
    ? null
    : 'of another database, or the server was started again since';
}

function lsnOf(text: string): bigint | null {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? [];
  return high === undefined || low === undefined
    ? null
    : (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}
