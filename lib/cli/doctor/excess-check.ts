import type { Redis } from 'ioredis';
import type { InvalidationRole } from '../../common/index.js';
import {
  hasSelectors,
  nodesOf,
  type AclVersion,
} from '../../transport/index.js';
import type { RedisLink } from '../redis-link.js';
import { visible } from '../visible.js';
import { ok, unknown, warn, type Finding } from './finding.js';
import { userOf } from './rights-check.js';

/** Commands with which one service could stop the others, or change what they read. */
const HARMFUL = [
  'CLIENT KILL TYPE pubsub',
  'CLIENT PAUSE 1',
  'CLIENT NO-EVICT on',
  'FLUSHALL',
  'FLUSHDB',
  'SWAPDB 0 1',
  'CONFIG SET maxmemory 1',
  'SHUTDOWN',
  'DEBUG SLEEP 0',
  'REPLICAOF no one',
  'FAILOVER',
  'CLUSTER RESET',
  'ACL SETUSER other',
  'MODULE LOAD other',
  'SCRIPT FLUSH',
  'SCRIPT KILL',
  'FUNCTION FLUSH',
  'MONITOR',
  'KEYS *',
  'SAVE',
].map((command) => command.split(' '));

/**
 * Lists what a user may do besides the work of its role, by ACL DRYRUN, which runs
 * nothing.
 *
 * @param version of the server
 * @internal
 */
export async function excessRights(
  link: RedisLink,
  role: InvalidationRole,
  version: AclVersion,
): Promise<Finding> {
  if (!hasSelectors(version)) {
    return unknown(
      `Redis ${version.join('.')} cannot say what a user may do besides: ACL DRYRUN came with 7.0`,
    );
  }
  const user = await userOf(link);
  const [node] = nodesOf(link.client, 'master');
  if (user === null || node === undefined) return withoutAcl();
  const allowed: string[] = [];
  for (const command of [...HARMFUL, ...beyond(link, role)]) {
    const answer = await dryRun(link, node, user, command);
    if (answer === null) return withoutAcl();
    if (answer) allowed.push(command.join(' ').trim());
  }
  return allowed.length === 0
    ? ok(`user ${visible(user)} may do nothing else that could harm others`)
    : warn(
        `user ${visible(user)} may also run ${allowed.map((each) => visible(each)).join(', ')}`,
        'Give the service a user of its own, by the rule above.',
      );
}

/** Commands that lose or forge messages, and those of the other role. */
function beyond(
  { target: { channel, sharded }, journal }: RedisLink,
  role: InvalidationRole,
): string[][] {
  const s = sharded ? 'S' : '';
  const add = ['XADD', journal.key, '*', 'm', ''];
  return [
    ['DEL', journal.key],
    ['UNLINK', journal.key],
    ['EXPIRE', journal.key, '1'],
    ['RENAME', journal.key, `${journal.key}2`],
    ['SET', journal.key, ''],
    ['XTRIM', journal.key, 'MAXLEN', '0'],
    ['XDEL', journal.key, '0-1'],
    ['XSETID', journal.key, '0-1'],
    [`${s}PUBLISH`, `${channel}:other`, ''],
    [`${s}SUBSCRIBE`, `${channel}:other`],
    ...(role === 'subscriber' ? [[`${s}PUBLISH`, channel, ''], add] : []),
    ...(role === 'publisher' ? [[`${s}SUBSCRIBE`, channel]] : []),
  ];
}

/** @returns `null` if the user may not ask; `false` for a command that the server does not know */
async function dryRun(
  link: RedisLink,
  node: Redis,
  user: string,
  command: readonly string[],
): Promise<boolean | null> {
  try {
    const answer = await link.within(
      'ACL DRYRUN',
      node.call('ACL', 'DRYRUN', user, ...command),
    );
    return answer === 'OK';
  } catch (error) {
    return (error as Error).message.includes('NOPERM') ? null : false;
  }
}

function withoutAcl(): Finding {
  return unknown(
    'this user may not run ACL WHOAMI and ACL DRYRUN, so what it may do besides is unknown: ask as an administrator',
  );
}
