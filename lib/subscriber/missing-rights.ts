import { InvalidationConfigurationError } from '../errors/index.js';
import type { InvalidationTransport } from '../transport/index.js';
import { RedisAnswers } from './redis-answers.js';

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
  options: { readonly heartbeatTimeout: number; readonly channel: string },
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
  return new InvalidationConfigurationError(
    'The user of the Redis connection lacks rights:',
    missing.map((right) => ({
      field: right,
      problem: 'not allowed.',
      fix: 'Grant it (ACL SETUSER), or switch the journal off (journal: false) if it is about the journal.',
    })),
    `\nNeeded on channel "${options.channel}" and its journal: +eval +evalsha +xadd +xrange +xrevrange +xinfo +time +publish +subscribe +ping +info.`,
  );
}
