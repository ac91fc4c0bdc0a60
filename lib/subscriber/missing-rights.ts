import type { RoleOptions } from '../common/index.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import {
  aclUsers,
  topologyOf,
  type InvalidationTransport,
  type RedisConnection,
} from '../transport/index.js';
import { RedisAnswers } from './redis-answers.js';
import type { WatchedRegions } from './staleness.js';

/** @internal */
export interface RightsOptions extends RoleOptions, WatchedRegions {
  readonly heartbeatTimeout: number;
  readonly connection: RedisConnection;
  readonly channel: string;
  readonly sharded: boolean;
}

/**
 * Checks at the start whether the user of the connection has every right that is
 * needed: without one, no later try can succeed.
 *
 * @returns the error to start with; `null` if no right is known to be missing
 *
 * @internal
 */
export async function missingRights(
  transport: InvalidationTransport,
  options: RightsOptions,
): Promise<InvalidationConfigurationError | null> {
  if (!transport.writable) return null;
  let missing: string[];
  try {
    missing = await new RedisAnswers(options.heartbeatTimeout).within(
      'a question for rights',
      transport.missingRights(),
    );
  } catch {
    // Away again, or slow: publishes will report it.
    return null;
  }
  if (missing.length === 0) return null;
  const { connection, role = 'both' } = options;
  const [user] = aclUsers({
    ...options,
    role,
    topology: topologyOf(connection),
    regions: options.regions !== undefined,
  });
  return new InvalidationConfigurationError(
    'The user of the Redis connection lacks rights:',
    missing.map((right) => ({
      field: right,
      problem: 'not allowed.',
      fix: options.regions
        ? 'Grant it (ACL SETUSER).'
        : 'Grant it (ACL SETUSER), or switch the journal off (journal: false) if it is about the journal.',
    })),
    `\nThe rule for role "${role}" on Redis 7.0: ${user!.rules.join(' ')}. "nestjs-cache-invalidation doctor --acl${options.regions ? ' --regions' : ''}" prints it for other versions, and with near caches in Redis.`,
  );
}
