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
 * Options to bind a cache that names responses by their URL, as `CacheInterceptor`
 * of `@nestjs/cache-manager` does: entries of a URL with a parameter belong to the
 * entity of that id, those of a URL without to the whole type. The query is
 * ignored, so that all of its variants are dropped.
 *
 * @param routes paths by entity type, with the global prefix; their first parameter
 * is the id
 * @throws InvalidationConfigurationError for a path that does not begin with a slash
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

/** The cache key of a URL, or the beginning of those of the type; `null` for another route. */
function keyOf(
  { segments, type }: Route,
  given: readonly string[],
): string | null {
  if (segments.length !== given.length) return null;
  let id: string | null = null;
  for (const [at, segment] of segments.entries()) {
    if (segment === null) id ??= given[at]!;
    // Express ignores case in routes.
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
