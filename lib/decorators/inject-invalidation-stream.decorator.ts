import { Inject } from '@nestjs/common';
import { INVALIDATION_STREAM } from '../cache-invalidation.constants.js';

/**
 * Injects `Observable<InvalidationMessage>`: every message this instance hears,
 * its own included. As with any Observable, a `next` callback that throws is an
 * uncaught error of the process; `InvalidationSubscriber.subscribe()` and
 * `@OnInvalidation()` catch, log and count instead.
 *
 * @publicApi
 */
export function InjectInvalidationStream(): ParameterDecorator &
  PropertyDecorator {
  return Inject(INVALIDATION_STREAM);
}
