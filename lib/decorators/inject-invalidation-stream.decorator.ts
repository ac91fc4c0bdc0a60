import { Inject, Optional } from '@nestjs/common';
import { INVALIDATION_STREAM } from '../cache-invalidation.constants.js';
import { needsModule } from '../handlers/index.js';

/**
 * Injects `Observable<InvalidationMessage>`: every message this instance hears,
 * its own included. As with any Observable, a `next` callback that throws is an
 * uncaught error of the process; `InvalidationSubscriber.subscribe()` and
 * `@OnInvalidation()` catch, log and count instead.
 *
 * In a testing module without CacheInvalidationModule a property stays undefined;
 * a constructor's parameter takes `CacheInvalidationTestingModule`.
 *
 * @publicApi
 */
export function InjectInvalidationStream(): ParameterDecorator &
  PropertyDecorator {
  const inject: ParameterDecorator & PropertyDecorator =
    Inject(INVALIDATION_STREAM);
  return (
    target: object,
    key: string | symbol | undefined,
    index?: number,
  ): void => {
    if (index !== undefined) return inject(target, key, index);
    if (key === undefined) return;
    inject(target, key);
    Optional()(target, key);
    needsModule(target, key);
  };
}
