/**
 * The module, the decorators, publisher, subscriber and near caches.
 *
 * @module nestjs-cache-invalidation
 */
export {
  json,
  NearCache,
  NearCacheFactory,
  structured,
  urlKeys,
  type BindableCache,
  type BindOptions,
  type BoundCache,
  type CacheStalenessOptions,
  type CacheStalePolicy,
  type L2Options,
  type L2Serializer,
  type LoadOptions,
  type NearCacheOptions,
  type NearCacheStats,
} from './cache/index.js';
export { CacheInvalidationModule } from './cache-invalidation.module.js';
export type {
  CacheInvalidationModuleOptions,
  CacheInvalidationOptionsFactory,
} from './cache-invalidation.module-options.js';
export type { CacheInvalidationOptions } from './cache-invalidation.options.js';
export type { Duration, InvalidationRole } from './common/index.js';
export {
  Cached,
  DeferInvalidations,
  fromResult,
  InjectInvalidationStream,
  InvalidatesCache,
  InvalidatesCachePattern,
  OnInvalidation,
  type CachingDecorator,
  type InvalidatesCacheOptions,
  type OnInvalidationOptions,
  type ResultSelector,
  type SelectingDecorator,
  type Selector,
} from './decorators/index.js';
export {
  CacheBusyError,
  CacheInvalidationError,
  CacheStaleError,
  CallbackFailedError,
  InvalidationConfigurationError,
  InvalidationRedisError,
  InvalidationSerializationError,
  InvalidationTimeoutError,
  InvalidMessageError,
  JournalAheadError,
  type ConfigurationProblem,
} from './errors/index.js';
export {
  affects,
  batch,
  buildCacheKey,
  entity,
  everything,
  glob,
  keysOf,
  pattern,
  type AnyEntityType,
  type BatchInvalidation,
  type CacheEntityTypes,
  type CommitPosition,
  type EntityId,
  type EntityInvalidation,
  type EntityType,
  type Invalidation,
  type InvalidationMessage,
  type MessageEnvelope,
  type PatternInvalidation,
  type WidenedCause,
} from './message/index.js';
export {
  InvalidationHealth,
  InvalidationStats,
  type InvalidationEvents,
  type InvalidationHealthReport,
  type InvalidationSourceHealth,
  type InvalidationSourceState,
  type InvalidationSourceStatus,
  type InvalidationStatsSnapshot,
  type LatencySummary,
} from './observability/index.js';
export {
  InvalidationPublisher,
  InvalidationScope,
  type AskPosition,
  type CascadeRule,
  type CascadeRules,
  type DurableOutbox,
  type PublishContent,
  type PublishReceipt,
  type ScopeOptions,
  type StoredInvalidation,
} from './publisher/index.js';
export type { Replica } from './replica/index.js';
export type { RegionSource, RegionsOptions } from './regions/index.js';
export type { SigningOptions } from './signing/index.js';
export {
  affecting,
  fromOthers,
  ofEntity,
  type Fence,
  type InvalidationHandler,
} from './stream/index.js';
export {
  InvalidationSubscriber,
  type SubscriptionState,
  type SubscriptionStatus,
} from './subscriber/index.js';
export type { RedisConnection } from './transport/index.js';
