import {
  Inject,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationMetrics } from '../observability/index.js';
import { InvalidationStream } from '../stream/index.js';
import { OpenTelemetryMeter } from './opentelemetry.meter.js';
import { OpenTelemetryTracer } from './opentelemetry.tracer.js';

/**
 * Traces and metrics by OpenTelemetry: import it beside
 * `CacheInvalidationModule`, which must be global, as it is by default. It uses
 * the API package alone; what becomes of spans and metrics is up to the SDK that
 * the application has set up, and without one nothing becomes of them.
 *
 * A span for each message that is published and one for each that is delivered,
 * in one trace, across services; one for each call of an `@OnInvalidation()`
 * method. They tell entity types, never ids or patterns. The same metrics as for
 * Prometheus, by service (`cache_invalidation.service`); of two applications of
 * the same service name in one process, only one is seen there.
 *
 * @example
 * ```ts
 * @Module({
 *   imports: [
 *     CacheInvalidationModule.forRootAsync(),
 *     CacheInvalidationOpenTelemetryModule,
 *   ],
 * })
 * export class AppModule {}
 * ```
 * @publicApi
 */
@Module({})
export class CacheInvalidationOpenTelemetryModule
  implements OnModuleInit, OnApplicationShutdown
{
  readonly #meter: OpenTelemetryMeter;

  /** @internal */
  constructor(
    private readonly stream: InvalidationStream,
    metrics: InvalidationMetrics,
    @Inject(CACHE_INVALIDATION_OPTIONS) options: { readonly channel: string },
  ) {
    this.#meter = new OpenTelemetryMeter(metrics);
    // Not in onModuleInit: by then the first messages may have been delivered.
    stream.tracing.use(new OpenTelemetryTracer(options.channel));
  }

  /** @internal */
  onModuleInit(): void {
    this.#meter.start();
  }

  /** @internal */
  onApplicationShutdown(): void {
    this.#meter.stop();
    this.stream.tracing.use(null);
  }
}
