import { InvalidationConfigurationError } from '../errors/index.js';

/**
 * The error of consumers in an application that only publishes: no message would
 * reach them, so they would go stale.
 *
 * @param consumers their names, for the message
 * @internal
 */
export function unheard(
  ...consumers: readonly string[]
): InvalidationConfigurationError {
  return new InvalidationConfigurationError(
    `This application only publishes (role: "publisher"), so no message would reach ${consumers.join(', ')}.`,
    [],
    'Set role: "both" (CACHE_INVALIDATION_ROLE in the environment), or move them to an application that receives.',
  );
}
