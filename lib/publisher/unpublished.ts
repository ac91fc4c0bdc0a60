import { InvalidationConfigurationError } from '../errors/index.js';

/** The error of a publish in an application that only receives. @internal */
export function unpublished(): InvalidationConfigurationError {
  return new InvalidationConfigurationError(
    'This application only receives (role: "subscriber"), so the invalidation was not published.',
    [],
    'Set role: "both" (CACHE_INVALIDATION_ROLE in the environment), or change the data in an application that publishes.',
  );
}
