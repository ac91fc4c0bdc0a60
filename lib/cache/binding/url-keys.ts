import { InvalidationConfigurationError } from '../../errors/index.js';
import {
  buildCacheKey,
  cacheKeysStart,
  type EntityType,
} from '../../message/index.js';

interface Route {
  /** `null` for a parameter. */
  readonly segments: readonly (string | null)[];
  readonly type: EntityType;
}

/**
 * How a bound cache names responses by their URL, as `CacheInterceptor` of
 * `@nestjs/cache-manager` does: entries of a URL with a parameter belong to the
 * entity of that id, those of one without to the whole type. The query counts for
 * nothing, so that all of its variants go.
 *
 * @param routes by entity type, with the global prefix: the first parameter is the
 * id
 * @throws InvalidationConfigurationError for what is no path
 * @example
 * ```ts
 * subscriber.bind(cacheManager, urlKeys({ User: ['/users', '/users/:id'] }));
 * ```
 * @publicApi
 */
export function urlKeys(routes: {
  readonly [T in EntityType]?: string | readonly string[];
}): { cacheKeyOf(entry: unknown): readonly string[] | undefined } {
  const types = Object.keys(routes) as EntityType[];
  const all = types.flatMap((type) =>
    [routes[type] ?? []].flat().map((path) => routeOf(type, path)),
  );
  return {
    cacheKeyOf(entry) {
      if (typeof entry !== 'string') return undefined;
      const segments = segmentsOf(entry.split(/[?#]/, 1)[0]!);
      const keys = all.flatMap((route) => keyOf(route, segments) ?? []);
      return keys.length === 0 ? undefined : keys;
    },
  };
}

function routeOf(type: EntityType, path: unknown): Route {
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new InvalidationConfigurationError('urlKeys() cannot be used:', [
      {
        field: type,
        problem: 'a path does not begin with a slash.',
        fix: "Give paths such as '/users/:id'.",
      },
    ]);
  }
  const segments = segmentsOf(path).map((segment) =>
    segment.startsWith(':') ? null : segment,
  );
  return { segments, type };
}

/** A cache key, or the beginning of those of the type. */
function keyOf(
  { segments, type }: Route,
  given: readonly string[],
): string | null {
  if (segments.length !== given.length) return null;
  let id: string | null = null;
  for (const [at, segment] of segments.entries()) {
    if (segment === null) id ??= given[at]!;
    // Express routes without regard to case.
    else if (segment.toLowerCase() !== given[at]!.toLowerCase()) return null;
  }
  return id === null || id === ''
    ? cacheKeysStart(type)
    : buildCacheKey(type, id);
}

function segmentsOf(path: string): string[] {
  return path
    .replace(/^\/|\/$/g, '')
    .split('/')
    .map(decoded);
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
