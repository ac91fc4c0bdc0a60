/** Injection token of the validated options. @internal */
export const CACHE_INVALIDATION_OPTIONS = Symbol('CACHE_INVALIDATION_OPTIONS');

/** Injection token of the stream of messages. @internal */
export const INVALIDATION_STREAM = Symbol(
  'INVALIDATION_STREAM (import CacheInvalidationModule; in a unit test CacheInvalidationTestingModule.register())',
);

/** Metadata key of `@OnInvalidation()`. @internal */
export const ON_INVALIDATION = Symbol('ON_INVALIDATION');
