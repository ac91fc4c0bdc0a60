import { createHash } from 'node:crypto';
import type { NearCacheOptions } from '../cache/index.js';
import {
  buildCacheKey,
  type EntityId,
  type EntityType,
} from '../message/index.js';
import { atOnce } from '../stream/index.js';

/** Metadata of a method that `@CachedRoute` decorates. @internal */
export const CACHED_ROUTE = 'nestjs-cache-invalidation:cached-route';

/** @internal */
export interface CachedRouteMetadata {
  readonly type: EntityType;
  readonly selectIds: (request: HttpRequest) => unknown;
  readonly vary: ((request: HttpRequest) => unknown) | undefined;
  readonly caching: NearCacheOptions;
}

/** A request of express or fastify. @internal */
export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  /** The whole URL in express, also below a mounted router. */
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The host as the adapter knows it, behind a trusted proxy as well. */
  readonly hostname?: string;
  readonly protocol?: string;
  /** Set by guards and by session middleware. */
  readonly user?: unknown;
  readonly session?: unknown;
}

/** Headers that identify the client. */
const CREDENTIALS = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
];

/** Name and cache keys of a request that may be cached. @internal */
export interface CacheableRequest {
  readonly name: string;
  /** Cache keys of its entities. */
  readonly keys: readonly string[];
}

/**
 * @returns `null` for a request that is not to be cached
 * @throws InvalidMessageError for an impossible id
 * @internal
 */
export function cacheableRequest(
  { type, selectIds, vary }: CachedRouteMetadata,
  request: HttpRequest,
): CacheableRequest | null {
  const { method, headers, url, originalUrl = url } = request;
  if (method !== 'GET' && method !== 'HEAD') return null;
  if (vary === undefined && isPersonal(request)) return null;
  const variant = vary === undefined ? '' : vary(request);
  // A promise, NaN, or a user that no guard has set name nobody.
  if (typeof variant !== 'string' && !Number.isFinite(variant)) return null;
  const ids = atOnce(selectIds(request));
  if (ids === undefined || ids === null) return null;
  const all = (Array.isArray(ids) ? ids : [ids]) as readonly EntityId[];
  const keys = all.map((id) => buildCacheKey(type, id));
  // Without a key no invalidation would evict the response.
  if (keys.length === 0) return null;
  const hosts = [headers['host'], headers[':authority'], request.hostname];
  const from = [request.protocol, ...hosts, originalUrl];
  // Hashed: a variant may be a secret, and a URL may be long.
  return { name: hashOf(JSON.stringify([from, variant])), keys };
}

/** Whether the request identifies its client, so that the response may be personal. */
function isPersonal({ headers, user, session }: HttpRequest): boolean {
  return (
    CREDENTIALS.some((name) => headers[name] !== undefined) ||
    (user !== undefined && user !== null) ||
    (session !== undefined && session !== null)
  );
}

/** @internal */
export function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64url');
}
