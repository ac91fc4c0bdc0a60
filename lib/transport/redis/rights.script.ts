import type { Cluster, Redis } from 'ioredis';
import type { InvalidationRole } from '../../common/index.js';
import { missingToRead, subscribeIn } from './reading-rights.js';
import type { ChannelOptions } from './redis-channel.js';
import { isCluster } from './redis-connection.js';

/**
 * Finds the commands that the user may not run. Redis before version 7 cannot be
 * asked: there the commands are tried in forms that change nothing.
 *
 * - KEYS: the journal.
 * - ARGV: PUBLISH or SPUBLISH; the channel; SUBSCRIBE or SSUBSCRIBE, or '' for a
 *   publisher.
 * - Returns the names of these commands.
 */
const MISSING_RIGHTS = `
local journal, publish, channel, subscribe = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local missing = {}
local function allowed(...)
  if redis.acl_check_cmd then return redis.acl_check_cmd(...) end
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err and string.find(reply.err, 'executing the script'))
end
local function need(name, ...)
  if not allowed(name, ...) then missing[#missing + 1] = name end
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
return missing
`;

/** Replies of ACL GETUSER for a user without limits, before version 7 and since. */
const UNRESTRICTED = [
  /"commands"[,:]"\+@all"/,
  /"keys"[,:](?:"~\*"|\["\*"\])/,
  /"channels"[,:](?:"&\*"|\["\*"\])/,
];

/** @internal */
export interface RightsNeeds extends ChannelOptions {
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
  if (needs.role === 'subscriber') {
    return missingToRead(client, journalKey, needs);
  }
  const { channel, sharded, role } = needs;
  if (await isUnrestricted(client)) return [];
  try {
    return (await client.eval(
      MISSING_RIGHTS,
      1,
      journalKey,
      sharded ? 'SPUBLISH' : 'PUBLISH',
      channel,
      role === 'publisher' ? '' : subscribeIn(sharded),
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
