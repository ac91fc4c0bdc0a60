import { inMilliseconds, type Duration } from '../common/index.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import { show } from '../message/index.js';

/** How long `caughtUp` waits by default, in milliseconds. */
const CAUGHT_UP_MS = 1_000;

/**
 * The timeout of a `caughtUp()` call, in milliseconds. Untyped callers may pass
 * anything.
 *
 * @throws InvalidationConfigurationError for a timeout that is no time
 * @internal
 */
export function caughtUpTimeout(
  options: { readonly timeout?: Duration } | null,
): number {
  const isGiven = typeof options === 'object' && options !== null;
  const timeout = isGiven ? inMilliseconds(options.timeout) : options;
  if (isGiven && timeout === undefined) return CAUGHT_UP_MS;
  if (isGiven && typeof timeout === 'number' && timeout >= 0) return timeout;
  throw new InvalidationConfigurationError('Invalid timeout:', [
    {
      field: 'timeout',
      problem: `${show(timeout)} is not valid.`,
      fix: 'Give { timeout } with a number of milliseconds, 0 or more, or a time such as "5s".',
    },
  ]);
}
