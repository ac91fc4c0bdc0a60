import type { Cluster, Redis } from 'ioredis';
import type { InvalidationRole } from '../../common/index.js';
import {
  missingProofs,
  missingToRead,
  subscribeIn,
  type ReadingNeeds,
} from './reading-rights.js';
import { isCluster } from './redis-connection.js';
import { relayKey } from './redis-relay-record.js';

/**
 * Finds the commands that the user may not run. Redis before version 7 cannot be
 * asked: there the commands are tried in forms that change nothing.
 *
 * - KEYS: the journal.
 * - ARGV: PUBLISH or SPUBLISH; the channel; SUBSCRIBE or SSUBSCRIBE, or '' for a
 *   publisher; the records of the relays.
 * - Returns the names of these commands.
 */
const MISSING_RIGHTS = `
local journal, publish, channel, subscribe = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local missing, named = {}, {}
local function allowed(...)
  if redis.acl_check_cmd then return redis.acl_check_cmd(...) end
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err and string.find(reply.err, 'executing the script'))
end
local function need(name, ...)
  if allowed(name, ...) or named[name] then return end
  missing[#missing + 1], named[name] = name, true
end
need('XADD', journal, '0-0', 'm', '')
need('XRANGE', journal, '-', '+', 'COUNT', 1)
need('XREVRANGE', journal, '+', '-', 'COUNT', 1)
need('XINFO', 'STREAM', journal)
need('TIME')
if redis.acl_check_cmd then
  need('EVALSHA', '', 1, journal)
  need('PING')
  need(publish, channel, '')
  if subscribe ~= '' then need(subscribe, channel) end
end
for i = 4, #ARGV do
  local record = ARGV[i]
  if redis.acl_check_cmd and not redis.acl_check_cmd('EVALSHA', '', 1, record) then
    missing[#missing + 1] = record
  else
    need('HMGET', record, 'offset', 'foreign')
    need('HSET', record, 'offset', '', 'foreign')
    need('GET', record)
    need('SET', record, '', 'NX', 'XX')
    need('DEL', record .. ':~')
  end
end
return missing
`;

/** Replies of ACL GETUSER for a user without limits, before version 7 and since. */
const UNRESTRICTED = [
  /"commands"[,:]"\+@all"/,
  /"keys"[,:](?:"~\*"|\["\*"\])/,
  /"channels"[,:](?:"&\*"|\["\*"\])/,
];

/** @internal */
export interface RightsNeeds extends ReadingNeeds {
  /** `both` if absent. */
  readonly role?: InvalidationRole;
}

/**
 * Rights that Redis withholds from its user, out of those that a role needs on a
 * journaled channel; empty if none is missing, or if Redis cannot say.
 *
 * @internal
 */
export async function missingRights(
  client: Redis | Cluster,
  journalKey: string,
  needs: RightsNeeds,
): Promise<string[]> {
  const { role } = needs;
  if (role === 'subscriber') return missingToRead(client, journalKey, needs);
  if (await isUnrestricted(client)) return [];
  const [missing, ofProofs] = await Promise.all([
    missingToWrite(client, journalKey, needs),
    role === 'publisher' ? [] : missingProofs(client, needs),
  ]);
  return [...new Set([...missing, ...ofProofs])];
}

async function missingToWrite(
  client: Redis | Cluster,
  journalKey: string,
  { channel, sharded, role, regions }: RightsNeeds,
): Promise<string[]> {
  const relayed = Object.entries(regions?.sources ?? {}).filter(
    ([, { connection }]) => connection !== undefined,
  );
  try {
    return (await client.eval(
      MISSING_RIGHTS,
      1,
      journalKey,
      sharded ? 'SPUBLISH' : 'PUBLISH',
      channel,
      role === 'publisher' ? '' : subscribeIn(sharded),
      ...relayed.map(([source]) => relayKey(channel, source)),
    )) as string[];
  } catch (error) {
    const { message } = error as Error;
    if (!message.includes('NOPERM')) return [];
    return [message.includes('key') ? journalKey : 'EVAL'];
  }
}

/**
 * Whether this is the user `default` as Redis creates it. The script is not run
 * then: it crashes Valkey built as WebAssembly, which demonstrations use.
 */
async function isUnrestricted(client: Redis | Cluster): Promise<boolean> {
  // Another user may lack the right to ACL, and ACL LOG would name it.
  const { username } = isCluster(client)
    ? (client.options.redisOptions ?? {})
    : client.options;
  if (username && username !== 'default') return false;
  try {
    if ((await client.acl('WHOAMI')) !== 'default') return false;
    const user = JSON.stringify(await client.acl('GETUSER', 'default'));
    return UNRESTRICTED.every((rule) => rule.test(user));
  } catch {
    // The user may lack the right to ACL as well.
    return false;
  }
}
