/**
 * Cached responses, and reading one's own writes.
 *
 * @module http
 */
export {
  CachedRoute,
  type CachedRouteOptions,
} from './cached-route.decorator.js';
export { OFFSET_HEADER } from './offset-carrier.js';
export { ReadYourWritesInterceptor } from './read-your-writes.interceptor.js';
