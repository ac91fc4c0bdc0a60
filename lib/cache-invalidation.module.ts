import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { CacheAuditor } from './audit/index.js';
import {
  ENVIRONMENT_OPTIONS,
  EnvironmentOptionsModule,
  processOptions,
} from './cache-invalidation.config.js';
import {
  CACHE_INVALIDATION_OPTIONS,
  INVALIDATION_STREAM,
} from './cache-invalidation.constants.js';
import { CacheInvalidationLifecycle } from './cache-invalidation.lifecycle.js';
import {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  type ASYNC_OPTIONS_TYPE,
  type OPTIONS_TYPE,
} from './cache-invalidation.module-definition.js';
import {
  resolveOptions,
  type CacheInvalidationModuleOptions,
} from './cache-invalidation.module-options.js';
import type { CacheInvalidationOptions } from './cache-invalidation.options.js';
import { NearCacheFactory, PositionSource } from './cache/index.js';
import { known } from './common/index.js';
import {
  DecorationChecks,
  MethodPublisher,
  StartReport,
} from './decorators/index.js';
import {
  DiscoveredClasses,
  InvalidationHandlersExplorer,
} from './handlers/index.js';
import { Instance } from './message/index.js';
import {
  Diagnostics,
  InvalidationCounters,
  InvalidationHealth,
  InvalidationMetrics,
  InvalidationSources,
  InvalidationStats,
} from './observability/index.js';
import {
  BegunWork,
  Coalescer,
  InvalidationPublisher,
  MessageEncoder,
  OffsetScope,
  OutboxDrain,
  OutboxRelay,
  OutboxReports,
  PublisherShutdown,
  PublishPipeline,
  PublishQueue,
  SourceOutlet,
  StoredRows,
} from './publisher/index.js';
import {
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
  OwnMessages,
  PublishProgress,
} from './stream/index.js';
import { RegionRelays } from './regions/index.js';
import {
  AcknowledgedMessages,
  BlindSources,
  HeartbeatPace,
  InvalidationSubscriber,
  MessageReceiver,
  PositionTracker,
  PublishingSession,
  SourceProofs,
  RegionReach,
  SelfIntroduction,
  Staleness,
  StatusLog,
  SubscriptionSession,
  UnverifiedMessages,
} from './subscriber/index.js';
import { InvalidationTransport, RedisTransport } from './transport/index.js';

const providers: Provider[] = [
  {
    provide: CACHE_INVALIDATION_OPTIONS,
    inject: [MODULE_OPTIONS_TOKEN],
    useFactory: (given: unknown) =>
      resolveOptions({ ...processOptions(), ...known(given) }),
  },
  {
    provide: Instance,
    inject: [CACHE_INVALIDATION_OPTIONS],
    useFactory: ({ serviceName, regions }: CacheInvalidationOptions) =>
      new Instance(serviceName, regions?.local),
  },
  CacheInvalidationLifecycle,
  // messages
  ErrorReporter,
  InvalidationStream,
  {
    provide: INVALIDATION_STREAM,
    inject: [InvalidationStream],
    useFactory: ({ messages$ }: InvalidationStream) => messages$,
  },
  { provide: InvalidationTransport, useClass: RedisTransport },
  // from a call to Redis
  OwnMessages,
  BegunWork,
  OffsetScope,
  MessageEncoder,
  StoredRows,
  OutboxReports,
  OutboxDrain,
  PublishQueue,
  { provide: PublishProgress, useExisting: PublishQueue },
  Coalescer,
  PublishPipeline,
  OutboxRelay,
  PublisherShutdown,
  InvalidationPublisher,
  SourceOutlet,
  // from Redis to the stream
  AcknowledgedMessages,
  MessageReceiver,
  PositionTracker,
  SelfIntroduction,
  Staleness,
  StatusLog,
  HeartbeatPace,
  UnverifiedMessages,
  BlindSources,
  SourceProofs,
  RegionReach,
  SubscriptionSession,
  PublishingSession,
  InvalidationSubscriber,
  // between regions
  RegionRelays,
  // caches, handlers and decorators
  { provide: PositionSource, useExisting: PositionTracker },
  NearCacheFactory,
  CacheAuditor,
  DiscoveredClasses,
  InvalidationHandlersExplorer,
  DecorationChecks,
  MethodPublisher,
  StartReport,
  // observability
  InvalidationCounters,
  { provide: InvalidationMeter, useExisting: InvalidationCounters },
  InvalidationSources,
  InvalidationStats,
  InvalidationMetrics,
  InvalidationHealth,
  Diagnostics,
];

/**
 * Import it once, in the root module. It is global unless `isGlobal: false`.
 *
 * @example
 * ```ts
 * CacheInvalidationModule.forRoot({ serviceName: 'user-service' })
 * CacheInvalidationModule.forRootAsync() // from the environment
 * ```
 * @publicApi
 */
@Module({
  providers,
  exports: [
    CacheAuditor,
    CACHE_INVALIDATION_OPTIONS,
    MethodPublisher,
    InvalidationHealth,
    InvalidationMetrics,
    InvalidationPublisher,
    InvalidationSources,
    InvalidationStats,
    InvalidationStream,
    InvalidationSubscriber,
    INVALIDATION_STREAM,
    NearCacheFactory,
    OffsetScope,
    SourceOutlet,
  ],
})
export class CacheInvalidationModule extends ConfigurableModuleClass {
  /** Options that are absent come from the environment of the process. */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  /**
   * Options from a factory, a class or an existing provider; without one of them
   * from the environment, through `@nestjs/config`.
   */
  static override forRootAsync(
    options: typeof ASYNC_OPTIONS_TYPE = {},
  ): DynamicModule {
    const { useFactory, useClass, useExisting, imports = [] } = options;
    if (useFactory ?? useClass ?? useExisting) {
      return super.forRootAsync(options);
    }
    return super.forRootAsync({
      ...options,
      imports: [...imports, EnvironmentOptionsModule.load()],
      inject: [ENVIRONMENT_OPTIONS],
      useFactory: (environment: CacheInvalidationModuleOptions) => environment,
    });
  }
}
