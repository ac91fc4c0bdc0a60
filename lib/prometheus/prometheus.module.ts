import { Module, type DynamicModule } from '@nestjs/common';
import { Registry, type RegistryContentType } from 'prom-client';
import { METRICS_REGISTRY } from './inject-metrics-registry.decorator.js';
import { PrometheusExporter } from './prometheus.exporter.js';

/** @publicApi */
export interface PrometheusOptions {
  /**
   * Where the metrics go, such as prom-client's own `register`. Applications that
   * share one need different service names.
   *
   * @default one of the application's own, which `@InjectMetricsRegistry()` gives
   */
  readonly registry?: Registry<RegistryContentType>;
}

/**
 * What the library knows of itself, for Prometheus. Import it beside
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
   * the registry has metrics of these names already.
   */
  static forRoot({ registry }: PrometheusOptions = {}): DynamicModule {
    return {
      module: CacheInvalidationPrometheusModule,
      providers: [
        {
          provide: METRICS_REGISTRY,
          // One for each application that is made of the module that imports this.
          useFactory: () => registry ?? new Registry(),
        },
        PrometheusExporter,
      ],
      exports: [METRICS_REGISTRY],
    };
  }
}
