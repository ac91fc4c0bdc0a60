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
  /** Of express, also below a mounted router. */
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Headers that say who asks. */
const CREDENTIALS = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
];

/** A request as its cache knows it. @internal */
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
  const isPrivate = CREDENTIALS.some((name) => headers[name] !== undefined);
  if (vary === undefined && isPrivate) return null;
  const variant = vary === undefined ? '' : vary(request);
  // Also a promise, and what a guard has not set.
  if (typeof variant !== 'string' && typeof variant !== 'number') return null;
  const ids = atOnce(selectIds(request));
  if (ids === undefined || ids === null) return null;
  const all = (Array.isArray(ids) ? ids : [ids]) as readonly EntityId[];
  const keys = all.map((id) => buildCacheKey(type, id));
  // Hashed: a variant may be a secret, and a URL may be long.
  const name = hashOf(JSON.stringify([headers['host'], originalUrl, variant]));
  return { name, keys };
}

/** @internal */
export function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64url');
}
