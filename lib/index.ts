/**
 * Everything but the test kit and what is for other libraries.
 *
 * @module nestjs-cache-invalidation
 */
export type { Duration } from './common/index.js';
export {
  json,
  NearCache,
  NearCacheFactory,
  structured,
  urlKeys,
  type BindableCache,
  type BindOptions,
  type CacheManagerLike,
  type DependencySelector,
  type KeyedCache,
  type KeyvLike,
  type L2Options,
  type L2Serializer,
  type NearCacheOptions,
  type NearCacheStats,
  type ValueClass,
} from './cache/index.js';
export { CacheInvalidationModule } from './cache-invalidation.module.js';
export {
  CacheInvalidationOptions,
  type CacheInvalidationModuleOptions,
  type CacheInvalidationOptionsFactory,
} from './cache-invalidation.options.js';
export {
  Cached,
  DeferInvalidations,
  fromResult,
  InjectInvalidationStream,
  InvalidatesCache,
  InvalidatesCachePattern,
  OnInvalidation,
  type AnnounceOptions,
  type ArgumentsSelector,
  type CachingDecorator,
  type InvalidatesCacheOptions,
  type OnInvalidationOptions,
  type ResultSelector,
  type SelectedIds,
  type SelectedPatterns,
  type SelectingDecorator,
  type Selector,
} from './decorators/index.js';
export {
  CacheInvalidationError,
  CallbackFailedError,
  InvalidationConfigurationError,
  InvalidationRedisError,
  JournalAheadError,
  InvalidationSerializationError,
  InvalidationTimeoutError,
  InvalidMessageError,
  type ConfigurationProblem,
} from './errors/index.js';
export {
  CachedRoute,
  OFFSET_HEADER,
  ReadYourWritesInterceptor,
  type CachedRouteOptions,
} from './http/index.js';
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
  glob,
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
  type IdForm,
  type IdForms,
  type Invalidation,
  type InvalidationContent,
  type InvalidationMessage,
  type MessageEnvelope,
  type PatternInvalidation,
  type TraceContext,
  type WidenedCause,
} from './message/index.js';
export {
  CacheAuditor,
  type AuditableCache,
  type CacheAuditOptions,
  type CacheAuditReport,
  type StaleCopy,
  type TruthLoader,
} from './audit/index.js';
export {
  InvalidationHealth,
  InvalidationStats,
  type InvalidationCounts,
  type InvalidationEvents,
  type InvalidationHealthReport,
  type InvalidationStatsSnapshot,
  type LatencySummary,
  type EventSender,
} from './observability/index.js';
export {
  InvalidationPublisher,
  InvalidationScope,
  type CascadeRule,
  type CascadeRules,
  type DurableOutbox,
  type PublishContent,
  type PublishReceipt,
  type StoredInvalidation,
} from './publisher/index.js';
export {
  deferringAdapter,
  deferringDataSource,
  deferringSequelize,
  type DataSourceLike,
  type EntityManagerLike,
  type SequelizeLike,
  type TransactionalAdapterLike,
  type TransactionalOptions,
} from './transactions/index.js';
export {
  affecting,
  fromOthers,
  ofEntity,
  type Fence,
  type InvalidationCondition,
  type InvalidationHandler,
  type CountedWidening,
} from './stream/index.js';
export {
  InvalidationSubscriber,
  type StalePolicy,
  type SubscriptionState,
  type SubscriptionStatus,
} from './subscriber/index.js';
export type {
  ClusterDescription,
  RedisConnection,
  RedisCredential,
  RedisCredentials,
  RedisServerOptions,
} from './transport/index.js';
