export {
  NearCache,
  NearCacheFactory,
  type BindableCache,
  type BindOptions,
  type CacheManagerLike,
  type KeyedCache,
  type KeyvLike,
  type L2Options,
  type L2Serializer,
  type NearCacheOptions,
  type NearCacheStats,
} from './cache/index.js';
export { CacheInvalidationModule } from './cache-invalidation.module.js';
export {
  CacheInvalidationOptions,
  type CacheInvalidationModuleOptions,
  type CacheInvalidationOptionsFactory,
} from './cache-invalidation.options.js';
export {
  Cached,
  fromResult,
  InjectInvalidationStream,
  InvalidatesCache,
  InvalidatesCachePattern,
  OnInvalidation,
  type AnnounceOptions,
  type ArgumentsSelector,
  type CachingDecorator,
  type InvalidatesCacheOptions,
  type ResultSelector,
  type SelectedIds,
  type SelectedPatterns,
  type SelectingDecorator,
  type Selector,
} from './decorators/index.js';
export {
  CacheInvalidationError,
  HandlerFailedError,
  InvalidationConfigurationError,
  InvalidationRedisError,
  InvalidationSerializationError,
  InvalidationTimeoutError,
  InvalidMessageError,
  type ConfigurationProblem,
} from './errors/index.js';
export { OFFSET_HEADER, ReadYourWritesInterceptor } from './http/index.js';
export {
  affects,
  batch,
  buildCacheKey,
  buildPattern,
  compilePattern,
  decodeMessage,
  encodeMessage,
  entity,
  everything,
  extractEntityType,
  InvalidationMessageDto,
  isCacheKey,
  keysOf,
  matchesPattern,
  parseCacheKey,
  parseMessage,
  pattern,
  type AnyEntityType,
  type BatchInvalidation,
  type BuiltInEntityType,
  type CacheEntityTypes,
  type CacheKeyParts,
  type EntityId,
  type EntityInvalidation,
  type EntityType,
  type Invalidation,
  type InvalidationContent,
  type InvalidationMessage,
  type MessageEnvelope,
  type PatternInvalidation,
  type WidenedCause,
} from './message/index.js';
export {
  InvalidationStats,
  type InvalidationStatsSnapshot,
  type LatencySummary,
} from './observability/index.js';
export {
  InvalidationPublisher,
  type DurableOutbox,
  type PublishContent,
  type PublishReceipt,
  type StoredInvalidation,
} from './publisher/index.js';
export {
  affecting,
  fromOthers,
  ofEntity,
  type Fence,
  type InvalidationHandler,
} from './stream/index.js';
export {
  InvalidationSubscriber,
  type StalePolicy,
  type SubscriptionState,
  type SubscriptionStatus,
} from './subscriber/index.js';
export type { ClusterDescription, RedisConnection } from './transport/index.js';
