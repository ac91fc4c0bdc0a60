import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Calls a function in the async context that this module was loaded in, which is
 * no request's: what a request keeps in an `AsyncLocalStorage` (a tenant, a
 * transaction) is not seen by the handlers of what it publishes.
 *
 * @internal
 */
export const outsideOfRequests = AsyncLocalStorage.snapshot();
