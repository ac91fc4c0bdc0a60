import {
  Inject,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationMetrics } from '../observability/index.js';
import { InvalidationStream } from '../stream/index.js';
import { OpenTelemetryMeter } from './opentelemetry-meter.js';
import { OpenTelemetryTracer } from './opentelemetry-tracer.js';

/**
 * The provider of `CacheInvalidationOpenTelemetryModule`. Where
 * `CacheInvalidationModule` is not global, provide it yourself in place of that
 * module, in the one that imports `CacheInvalidationModule`.
 *
 * @publicApi
 */
@Injectable()
export class CacheInvalidationInstrumentation
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

  /** Called by Nest at the start. */
  onModuleInit(): void {
    this.#meter.start();
  }

  /** Called by Nest at the end. */
  onApplicationShutdown(): void {
    this.#meter.stop();
    this.stream.tracing.use(null);
  }
}
