import { Module, type DynamicModule } from '@nestjs/common';
import { Registry, type RegistryContentType } from 'prom-client';
import { InvalidationConfigurationError } from '../errors/index.js';
import { METRICS_REGISTRY } from './inject-metrics-registry.decorator.js';
import { PrometheusExporter } from './prometheus.exporter.js';

/** @publicApi */
export interface PrometheusOptions {
  /**
   * The registry that takes the metrics, such as prom-client's own `register`. Applications that
   * share one need different service names.
   *
   * @default a registry of the application's own, for `@InjectMetricsRegistry()`
   */
  readonly registry?: Registry<RegistryContentType>;
}

/**
 * The library's metrics, for Prometheus. Import it beside
 * `CacheInvalidationModule`. Values are read at each scrape; a message
 * costs nothing more. The module serves no route: see `@InjectMetricsRegistry()`.
 *
 * @example
 * ```ts
 * @Module({
 *   imports: [
 *     CacheInvalidationModule.forRootAsync(),
 *     CacheInvalidationPrometheusModule.forRoot(),
 *   ],
 *   controllers: [MetricsController],
 * })
 * export class AppModule {}
 * ```
 * @publicApi
 */
@Module({})
export class CacheInvalidationPrometheusModule {
  /**
   * Registers the metrics. The application fails to start with an
   * `InvalidationConfigurationError` if the registry has metrics of these names
   * already, or is not a registry.
   */
  static forRoot({ registry }: PrometheusOptions = {}): DynamicModule {
    return {
      module: CacheInvalidationPrometheusModule,
      providers: [
        {
          provide: METRICS_REGISTRY,
          // One registry for each application made of the importing module.
          useFactory: () => checked(registry ?? new Registry()),
        },
        PrometheusExporter,
      ],
      exports: [METRICS_REGISTRY],
    };
  }
}

/** Untyped callers may pass anything, such as the whole of prom-client. */
function checked<T extends Partial<Registry<RegistryContentType>>>(
  registry: T,
): T {
  if (typeof registry.getSingleMetric === 'function') return registry;
  throw new InvalidationConfigurationError(
    'The metrics cannot be registered:',
    [
      {
        field: 'registry',
        problem: 'no Registry of prom-client.',
        fix: 'Give its `register` or a `new Registry()`, or leave it out.',
      },
    ],
  );
}
