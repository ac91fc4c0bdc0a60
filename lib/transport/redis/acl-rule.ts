import type { InvalidationRole } from '../../common/index.js';
import { escapePattern } from '../../message/index.js';
import { journalKey } from './journal-key.js';
import { relayKey } from './redis-relay-record.js';

/** Version of Redis for rules unless another one is known. @internal */
export const ACL_VERSION: AclVersion = [7, 0];

/** @internal */
export type AclVersion = readonly [major: number, minor: number];

/** Inputs of the rules. @internal */
export interface AclNeeds {
  readonly role: InvalidationRole;
  readonly channel: string;
  readonly sharded: boolean;
  readonly topology: 'server' | 'cluster' | 'sentinel';
  /** Beginnings of the keys of second tiers: `near:<service name>`, or a `keyPrefix`. */
  readonly l2?: readonly string[];
  /** Whether the option `regions` is set. */
  readonly regions?: boolean;
  readonly version?: AclVersion;
}

/** A user of Redis. @internal */
export interface AclUser {
  readonly of: 'service' | 'second tier' | 'sentinel';
  /** Arguments of ACL SETUSER, but for its name and password. */
  readonly rules: readonly string[];
}

const NOTHING = ['resetkeys', 'resetchannels', '-@all'];

const JOURNAL_READ = ['+xrange', '+xrevrange'];
/** Commands of the script that journals and publishes. */
const JOURNAL_WRITE = ['+time', '+eval', '+evalsha', '+xadd', '+xinfo|stream'];

/** Commands of the relays of other regions, besides those above, on their records. */
const RELAY = ['+hmget', '+hset', '+get', '+set', '+del'];
/** The record and the age of the proof, which every instance reads that receives. */
const WATCH = ['+hmget', '+pttl'];

/** SELECT: the entries are in the database of the connection. */
const ENTRIES = [
  '+select',
  '+get',
  '+set',
  '+getrange',
  '+unlink',
  '+scan',
  '+eval',
  '+evalsha',
];

/** Queries of ioredis, and its subscription to failovers. */
const SENTINEL = [
  '+sentinel|get-master-addr-by-name',
  '+sentinel|sentinels',
  '+subscribe',
  '&+switch-master',
];

/**
 * The least rights with which an application works, as rules for ACL SETUSER: of its
 * user, of a second one for `l2.connection` where Redis has no selectors, and of the
 * one for the Sentinels.
 *
 * @internal
 */
export function aclUsers(needs: AclNeeds): AclUser[] {
  const { l2 = [], topology } = needs;
  const version = needs.version ?? ACL_VERSION;
  const connect = connectRules(topology, version);
  const journal = [
    ...connect,
    ...roleRules(needs, version),
    ...(needs.regions ? relayRules(needs, version) : []),
  ];
  const keys = l2.flatMap(keysOfTier).map((key) => `~${key}`);
  const entries = [...ENTRIES, ...keys];
  const users: AclUser[] = [];
  if (keys.length === 0) {
    users.push({ of: 'service', rules: [...start(version), ...journal] });
  } else if (hasSelectors(version)) {
    const selector = `(${entries.join(' ')})`;
    const rules = [...start(version), ...journal, selector];
    users.push({ of: 'service', rules });
  } else {
    const marks = l2.flatMap((prefix) => markRules(prefix, needs.channel));
    users.push(
      { of: 'service', rules: [...start(version), ...journal, ...marks] },
      { of: 'second tier', rules: [...start(version), ...connect, ...entries] },
    );
  }
  if (topology === 'sentinel') {
    users.push({ of: 'sentinel', rules: [...NOTHING, ...SENTINEL] });
  }
  return users;
}

/** @internal */
export function hasSelectors([major]: AclVersion): boolean {
  return major >= 7;
}

function start(version: AclVersion): string[] {
  return hasSelectors(version) ? ['clearselectors', ...NOTHING] : NOTHING;
}

/** Commands that ioredis and the heartbeat send on any connection. */
function connectRules(
  topology: AclNeeds['topology'],
  [major, minor]: AclVersion,
): string[] {
  const hasSetInfo = major > 7 || (major === 7 && minor >= 2);
  return [
    '+ping',
    '+info',
    '+client|setname',
    ...(hasSetInfo ? ['+client|setinfo'] : []),
    ...(topology === 'cluster' ? ['+cluster|slots', '+cluster|info'] : []),
  ];
}

function roleRules(
  { role, channel, sharded }: AclNeeds,
  version: AclVersion,
): string[] {
  const s = sharded ? 's' : '';
  const reads = role === 'subscriber' && hasSelectors(version);
  return [
    ...(role === 'subscriber' ? [] : JOURNAL_WRITE),
    ...JOURNAL_READ,
    ...(role === 'subscriber' ? [] : [`+${s}publish`]),
    ...(role === 'publisher' ? [] : [`+${s}subscribe`]),
    `${reads ? '%R' : ''}~${literal(journalKey(channel))}`,
    `&${literal(channel)}`,
  ];
}

/**
 * The script of a relay names the journal and the record, and one selector has to allow
 * all keys of a command. The commands that could harm the journal have one of their own.
 */
function relayRules(
  { role, channel }: AclNeeds,
  version: AclVersion,
): string[] {
  const keys = `~${literal(relayKey(channel, ''))}*`;
  if (role === 'subscriber') {
    return [...WATCH, `${hasSelectors(version) ? '%R' : ''}${keys}`];
  }
  const commands =
    role === 'publisher' ? RELAY : [...new Set([...RELAY, ...WATCH])];
  return hasSelectors(version)
    ? [keys, `(${[...commands, keys].join(' ')})`]
    : [...commands, keys];
}

/**
 * The mark of a service stays with the module's own connection. By their first
 * argument, SET and GET reach this key only, and not the journal.
 */
function markRules(prefix: string, channel: string): string[] {
  const service = serviceIn(prefix);
  if (service === null) return [];
  const key = `${service}~foreign:${encodeURIComponent(channel)}`;
  return [`+get|${key}`, `+set|${key}`, `~${literal(key)}`];
}

/** The keys of a service's tiers and of its mark, and of no service with a longer name. */
function keysOfTier(prefix: string): string[] {
  const service = serviceIn(prefix);
  return service === null
    ? [`${literal(prefix)}*`]
    : [':*', '#*', '~foreign:*'].map((end) => literal(service) + end);
}

/** `near:<service name>`; `null` for a `keyPrefix` of an application. */
function serviceIn(prefix: string): string | null {
  const [, service] = /^(near:[^:#~]+):?$/.exec(prefix) ?? [];
  return service ?? null;
}

/** Rules are globs of bytes, and hold no white space of ASCII. */
function literal(text: string): string {
  return escapePattern(text).replace(/[\t-\r ]/g, '?');
}
