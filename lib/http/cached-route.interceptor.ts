import {
  Inject,
  Injectable,
  Optional,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { NearCache, NearCacheFactory } from '../cache/index.js';
import { batch, type EntityType } from '../message/index.js';
import {
  before,
  cachedResponse,
  isKnown,
  leavesWithoutCookie,
  type CachedResponse,
  type HttpResponse,
} from './cached-response.js';
import {
  CACHED_ROUTE,
  cacheableRequest,
  type CachedRouteMetadata,
  type HttpRequest,
} from './cached-route.js';

/** Entity type of cached responses: they depend on those of the application. */
const RESPONSE_TYPE: string = 'http-response';
const SSE = '__sse__';

/** Tells the requests that wait for a response that it is for another request only. */
class OneTimeResponse extends Error {}

/**
 * Answers requests of methods that `@CachedRoute` decorates.
 *
 * @internal
 */
@Injectable()
export class CachedRouteInterceptor implements NestInterceptor {
  /** Caches by class and method. */
  readonly #caches = new Map<
    unknown,
    Map<unknown, NearCache<CachedResponse>>
  >();

  constructor(
    /** Absent in a unit test of a controller. */
    @Optional()
    @Inject(NearCacheFactory)
    private readonly factory: NearCacheFactory | undefined,
    @Inject(HttpAdapterHost)
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  async intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    const method = context.getHandler();
    if (context.getType() !== 'http' || Reflect.getMetadata(SSE, method)) {
      return next.handle();
    }
    const route = Reflect.getMetadata(CACHED_ROUTE, method) as
      CachedRouteMetadata | undefined;
    const cache = route ? this.#cacheOf(context, route) : null;
    const request = context.switchToHttp().getRequest<HttpRequest>();
    const cacheable = cache === null ? null : cacheableRequest(route!, request);
    if (cacheable === null) return next.handle();
    const response = context.switchToHttp().getResponse<HttpResponse>();
    const isVaried = route!.vary !== undefined;
    return new Promise((resolve, reject) => {
      let isAnswered = false;
      const answer = (makeBody: () => Observable<unknown>): void => {
        if (isAnswered) return;
        isAnswered = true;
        resolve(makeBody());
      };
      const load = async (): Promise<CachedResponse> => {
        const was = before(response);
        const body: unknown = await lastValueFrom(next.handle(), {
          defaultValue: undefined,
        });
        const made = cachedResponse(body, response, was, cacheable, isVaried);
        if (made !== null) {
          const isForAll = leavesWithoutCookie(response);
          // This request is answered; the others, and the cache, wait for the headers.
          answer(() => of(this.#answer(request, response, made)));
          if (await isForAll) return made;
        }
        answer(() => of(body));
        throw new OneTimeResponse();
      };
      cache!
        .get(cacheable.name, load)
        .then(
          (cached) => answer(() => of(this.#answer(request, response, cached))),
          (error: unknown) => {
            if (!(error instanceof OneTimeResponse)) throw error;
            answer(() => next.handle());
          },
        )
        .catch(reject);
    });
  }

  /** @returns the body */
  #answer(
    request: HttpRequest,
    response: HttpResponse,
    cached: CachedResponse,
  ): unknown {
    const { httpAdapter } = this.adapterHost;
    for (const [name, value] of cached.headers) {
      httpAdapter.setHeader(response, name, value);
    }
    if (cached.etag !== null) {
      httpAdapter.setHeader(response, 'ETag', cached.etag);
    }
    if (!isKnown(request, cached)) return cached.body;
    httpAdapter.status(response, 304);
    return undefined;
  }

  /** @returns `null` where nothing is cached */
  #cacheOf(
    context: ExecutionContext,
    { caching }: CachedRouteMetadata,
  ): NearCache<CachedResponse> | null {
    if (this.factory === undefined) return null;
    const [owner, method] = [context.getClass(), context.getHandler()];
    let ofClass = this.#caches.get(owner);
    if (ofClass === undefined) this.#caches.set(owner, (ofClass = new Map()));
    let cache = ofClass.get(method);
    if (cache === undefined) {
      const created = this.factory.createFor<CachedResponse>(
        // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- an application may have declared its entity types
        RESPONSE_TYPE as EntityType,
        {
          ...(caching as object),
          dependsOn: ({ keys, body }) => {
            const others = caching.dependsOn?.(body) ?? [];
            return [batch(keys), ...[others].flat()];
          },
        },
        `${owner.name}.${method.name}`,
      );
      // A stub of the factory, in a test, makes no cache; nor does a publisher.
      if (!(created instanceof NearCache)) return null;
      ofClass.set(method, (cache = created));
    }
    return cache;
  }
}
