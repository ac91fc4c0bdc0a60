import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Calls a function in the async context in which this module was loaded, outside of
 * every request: handlers do not see what the publishing request keeps in an
 * `AsyncLocalStorage` (a tenant, a transaction).
 *
 * @internal
 */
export const outsideOfRequests = AsyncLocalStorage.snapshot();
