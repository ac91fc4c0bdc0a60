import {
  Inject,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import {
  ENVIRONMENT_OPTIONS,
  EnvironmentOptionsModule,
  processOptions,
} from './cache-invalidation.config.js';
import {
  CACHE_INVALIDATION_OPTIONS,
  INVALIDATION_STREAM,
} from './cache-invalidation.constants.js';
import {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  type ASYNC_OPTIONS_TYPE,
  type OPTIONS_TYPE,
} from './cache-invalidation.module-definition.js';
import {
  CacheInvalidationOptions,
  known,
  resolveOptions,
  type CacheInvalidationModuleOptions,
} from './cache-invalidation.options.js';
import { NearCacheFactory } from './cache/index.js';
import {
  DecorationChecks,
  InvalidationAnnouncer,
  StartReport,
} from './decorators/index.js';
import {
  DiscoveredClasses,
  InvalidationHandlersExplorer,
} from './handlers/index.js';
import { IdNormalizer, Instance } from './message/index.js';
import { CacheAuditor } from './audit/index.js';
import {
  Diagnostics,
  InvalidationCounters,
  InvalidationHealth,
  InvalidationMetrics,
  InvalidationStats,
} from './observability/index.js';
import { InvalidationPublisher } from './publisher/index.js';
import {
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
} from './stream/index.js';
import { InvalidationSubscriber } from './subscriber/index.js';
import { InvalidationTransport, RedisTransport } from './transport/index.js';

const providers: Provider[] = [
  CacheAuditor,
  DecorationChecks,
  Diagnostics,
  DiscoveredClasses,
  ErrorReporter,
  InvalidationAnnouncer,
  InvalidationCounters,
  InvalidationHandlersExplorer,
  InvalidationHealth,
  InvalidationMetrics,
  InvalidationStats,
  StartReport,
  {
    provide: CACHE_INVALIDATION_OPTIONS,
    inject: [MODULE_OPTIONS_TOKEN],
    useFactory: (given: unknown) =>
      resolveOptions({ ...processOptions(), ...known(given) }),
  },
  {
    provide: Instance,
    inject: [CACHE_INVALIDATION_OPTIONS],
    useFactory: ({ serviceName }: CacheInvalidationOptions) =>
      new Instance(serviceName),
  },
  { provide: InvalidationMeter, useExisting: InvalidationCounters },
  {
    provide: InvalidationTransport,
    inject: [CACHE_INVALIDATION_OPTIONS],
    useFactory: (options: CacheInvalidationOptions) =>
      new RedisTransport(options),
  },
  {
    provide: InvalidationStream,
    inject: [CACHE_INVALIDATION_OPTIONS, InvalidationMeter, ErrorReporter],
    useFactory: (
      options: CacheInvalidationOptions,
      meter: InvalidationMeter,
      errors: ErrorReporter,
    ) => {
      const stream = new InvalidationStream(meter, errors, {
        messages: options.handlerQueueLimit,
        bytes: options.queueByteLimit,
      });
      stream.ids = IdNormalizer.of(options.normalizeIds);
      return stream;
    },
  },
  {
    provide: InvalidationPublisher,
    inject: [
      CACHE_INVALIDATION_OPTIONS,
      Instance,
      InvalidationTransport,
      InvalidationStream,
      InvalidationMeter,
      ErrorReporter,
    ],
    useFactory: (
      options: CacheInvalidationOptions,
      instance: Instance,
      transport: InvalidationTransport,
      stream: InvalidationStream,
      meter: InvalidationMeter,
      errors: ErrorReporter,
    ) =>
      new InvalidationPublisher(options, {
        instance,
        transport,
        stream,
        meter,
        errors,
      }),
  },
  {
    provide: InvalidationSubscriber,
    inject: [
      CACHE_INVALIDATION_OPTIONS,
      Instance,
      InvalidationTransport,
      InvalidationPublisher,
      InvalidationStream,
      InvalidationMeter,
      ErrorReporter,
    ],
    useFactory: (
      options: CacheInvalidationOptions,
      instance: Instance,
      transport: InvalidationTransport,
      publisher: InvalidationPublisher,
      stream: InvalidationStream,
      meter: InvalidationMeter,
      errors: ErrorReporter,
    ) =>
      new InvalidationSubscriber(options, {
        instance,
        transport,
        publisher,
        stream,
        meter,
        errors,
      }),
  },
  {
    provide: NearCacheFactory,
    inject: [
      CACHE_INVALIDATION_OPTIONS,
      InvalidationTransport,
      InvalidationStream,
      InvalidationSubscriber,
      ErrorReporter,
    ],
    useFactory: (
      options: CacheInvalidationOptions,
      transport: InvalidationTransport,
      stream: InvalidationStream,
      source: InvalidationSubscriber,
      errors: ErrorReporter,
    ) => new NearCacheFactory({ options, transport, stream, source, errors }),
  },
  {
    provide: INVALIDATION_STREAM,
    inject: [InvalidationStream],
    useFactory: ({ messages$ }: InvalidationStream) => messages$,
  },
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
    InvalidationAnnouncer,
    InvalidationHealth,
    InvalidationMetrics,
    InvalidationPublisher,
    InvalidationStats,
    InvalidationStream,
    InvalidationSubscriber,
    INVALIDATION_STREAM,
    NearCacheFactory,
  ],
})
export class CacheInvalidationModule
  extends ConfigurableModuleClass
  implements OnModuleInit, OnApplicationShutdown
{
  /** @internal */
  constructor(
    private readonly explorer: InvalidationHandlersExplorer,
    private readonly subscriber: InvalidationSubscriber,
    private readonly publisher: InvalidationPublisher,
    private readonly nearCaches: NearCacheFactory,
    private readonly report: StartReport,
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: CacheInvalidationOptions,
  ) {
    super();
  }

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

  /** @internal */
  async onModuleInit(): Promise<void> {
    this.explorer.explore();
    this.report.write(this.options.describe);
    const nearCaches = this.nearCaches.start();
    try {
      await this.subscriber.start();
    } catch (error) {
      this.nearCaches.stop();
      throw error;
    }
    await nearCaches;
  }

  /** @internal */
  async onApplicationShutdown(): Promise<void> {
    await this.publisher.stop();
    this.nearCaches.stop();
    await this.subscriber.stop();
  }
}
