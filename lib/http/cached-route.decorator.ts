import { applyDecorators, SetMetadata, UseInterceptors } from '@nestjs/common';
import {
  resolveNearCache,
  type L2Options,
  type NearCacheOptions,
} from '../cache/index.js';
import { needsModule } from '../handlers/index.js';
import {
  checkEntityType,
  show,
  type EntityId,
  type EntityType,
} from '../message/index.js';
import { CachedRouteInterceptor } from './cached-route.interceptor.js';
import { CACHED_ROUTE } from './cached-route.js';

/* oxlint-disable typescript/no-explicit-any -- requests are those of express or
   fastify, bodies those of the method: only the application knows both */

/** Options of `@CachedRoute()`. @publicApi */
export interface CachedRouteOptions<V = any> extends Omit<
  NearCacheOptions<V>,
  'l2' | 'refreshAfter'
> {
  /** Second tier; responses are stored as they leave the method. */
  readonly l2?: Omit<L2Options<any>, 'type'> | false;
  /**
   * Selects the things that the response depends on beside host and URL: a tenant, a
   * user, a language. Requests with the same value share responses; `undefined`, `null` or
   * `NaN` keeps a request from being cached, and `''` is for responses that are the same
   * for everybody.
   *
   * Without it, requests with credentials (`Authorization`, `Cookie`,
   * `X-Api-Key`), with a `user` or with a `session` are not cached.
   */
  readonly vary?: (request: any) => string | number | null | undefined;
}

/**
 * Caches the responses of a GET route under entities: they are evicted with any of
 * them, on every instance. Sets an `ETag` and answers 304 where the client has it.
 *
 * Cached are values that the method returns with a status of 2xx; never streams,
 * and never a response that sets a cookie. Guards run for each request; pipes and
 * the method only where nothing is cached.
 *
 * @param selectIds selects the id or ids of a request; `undefined` or `null` keeps it from
 * being cached
 * @throws InvalidationConfigurationError that names every bad option, and
 * InvalidMessageError for an impossible entity type
 * @example
 * ```ts
 * @CachedRoute('User', (request) => request.params.id)
 * @Get(':id')
 * find(@Param('id') id: string) {}
 * ```
 * @publicApi
 */
export function CachedRoute<V = any>(
  type: EntityType,
  selectIds: (
    request: any,
  ) => EntityId | readonly EntityId[] | null | undefined,
  options: CachedRouteOptions<V> = {},
): MethodDecorator {
  checkEntityType(type);
  if (typeof selectIds !== 'function') {
    throw new TypeError(
      `${show(selectIds)} is not a selector: give a function of the request.`,
    );
  }
  if ('refreshAfter' in options) {
    throw new TypeError(
      'refreshAfter is no option of a route: its method would run for a request that has been answered.',
    );
  }
  const { vary, ...caching } = options;
  if (vary !== undefined && typeof vary !== 'function') {
    throw new TypeError(
      'vary is not a selector: give a function of the request.',
    );
  }
  resolveNearCache(caching as NearCacheOptions<V>);
  return applyDecorators(
    SetMetadata(CACHED_ROUTE, { type, selectIds, vary, caching }),
    UseInterceptors(CachedRouteInterceptor),
    (target: object, key: string | symbol) => needsModule(target, key),
  );
}
