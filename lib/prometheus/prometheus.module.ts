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
   * @default one of the application's own, which `@InjectMetricsRegistry()` gives
   */
  readonly registry?: Registry<RegistryContentType>;
}

/**
 * The library's metrics, for Prometheus. Import it beside
 * `CacheInvalidationModule`. Values are read when somebody scrapes; a message
 * costs nothing more. It serves no route: see `@InjectMetricsRegistry()`.
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
   * The application does not start, for an `InvalidationConfigurationError`, if
   * the registry has metrics of these names already, or is none.
   */
  static forRoot({ registry }: PrometheusOptions = {}): DynamicModule {
    return {
      module: CacheInvalidationPrometheusModule,
      providers: [
        {
          provide: METRICS_REGISTRY,
          // One for each application that is made of the module that imports this.
          useFactory: () => checked(registry ?? new Registry()),
        },
        PrometheusExporter,
      ],
      exports: [METRICS_REGISTRY],
    };
  }
}

/** As plain JavaScript may give it: the whole of prom-client, say. */
function checked<T extends Partial<Registry<RegistryContentType>>>(
  registry: T,
): T {
  if (typeof registry.getSingleMetric === 'function') return registry;
  throw new InvalidationConfigurationError('The metrics have no place to be:', [
    {
      field: 'registry',
      problem: 'no Registry of prom-client.',
      fix: 'Give its `register` or a `new Registry()`, or leave it out.',
    },
  ]);
}
