import { describeCause } from '../../errors/index.js';
import type { InvalidationRole } from '../../common/index.js';
import {
  ACL_VERSION,
  aclUsers,
  nodesOf,
  topologyOf,
  type AclUser,
  type AclVersion,
} from '../../transport/index.js';
import type { Io } from '../io.js';
import type { RedisLink } from '../redis-link.js';
import { jsonLine, visible } from '../visible.js';
import { excessRights } from './excess-check.js';
import { unknown, type Finding } from './finding.js';
import { infoOf } from './nodes.js';

const NAMES: Record<AclUser['of'], string> = {
  service: 'cache-invalidation',
  'second tier': 'cache-invalidation-l2',
  sentinel: 'cache-invalidation-sentinel',
};

const NOTES: Record<AclUser['of'], string> = {
  service: 'The service. ACLs are not replicated: on every node, replicas too.',
  'second tier':
    'The second tier: give it to the near caches as l2: { connection }.',
  sentinel:
    'On every Sentinel, if its user default is restricted: sentinelUsername.',
};

interface AclValues {
  readonly l2?: readonly string[];
  readonly regions?: boolean;
  readonly json?: boolean;
}

/** Prints the least rights of a role, and what the connected user may do besides. @internal */
export async function reportAcl(
  link: RedisLink,
  role: InvalidationRole,
  { l2 = [], regions = false, json = false }: AclValues,
  io: Io,
): Promise<void> {
  const { connection } = link.target;
  const { version, excess } = await examine(link, role);
  const topology = topologyOf(connection);
  const users = aclUsers({
    ...link.target,
    role,
    topology,
    l2,
    regions,
    version,
  });
  if (json) {
    return io.out(
      jsonLine({
        role,
        version: version.join('.'),
        users: users.map((user) => ({ ...user, command: commandOf(user) })),
        besides: excess,
      }),
    );
  }
  io.out(`Rules for role ${role}, Redis ${version.join('.')} or newer.`);
  for (const user of users) {
    io.out(`\n# ${NOTES[user.of]}\n${commandOf(user)}`);
  }
  const { status, message, advice } = excess;
  io.out(`\n${status}: ${visible(message, 2_000)}`);
  if (advice !== undefined) io.out(advice);
}

/** The version of the server, and the excess rights there; the rules need no server. */
async function examine(
  link: RedisLink,
  role: InvalidationRole,
): Promise<{ version: AclVersion; excess: Finding }> {
  try {
    await link.connect();
    const [node] = nodesOf(link.client, 'master');
    const info = await infoOf(link, node!, 'server');
    const [major = 7, minor = 0] = (info.get('redis_version') ?? '')
      .split('.')
      .map(Number);
    const version: AclVersion = [major, minor];
    return { version, excess: await excessRights(link, role, version) };
  } catch (error) {
    const cause = visible(describeCause(error as Error));
    return { version: ACL_VERSION, excess: unknown(`cannot tell: ${cause}`) };
  }
}

/** A line for a shell. @internal */
export function commandOf({ of, rules }: AclUser): string {
  const words = ['on', '>a-long-password', ...rules].map(quoted);
  return `redis-cli ACL SETUSER ${NAMES[of]} ${words.join(' ')}`;
}

function quoted(word: string): string {
  return /^[\w+@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
