import { Inject } from '@nestjs/common';

/** Injection token of the registry. @internal */
export const METRICS_REGISTRY = Symbol('METRICS_REGISTRY');

/**
 * Injects the `Registry` of prom-client with this library's metrics: the registry
 * given to `forRoot()`, or else one of the application's own.
 *
 * @example
 * ```ts
 * @Controller('metrics')
 * export class MetricsController {
 *   constructor(@InjectMetricsRegistry() private readonly registry: Registry) {}
 *
 *   @Get()
 *   @Header('content-type', Registry.PROMETHEUS_CONTENT_TYPE)
 *   metrics(): Promise<string> {
 *     return this.registry.metrics();
 *   }
 * }
 * ```
 * @publicApi
 */
export function InjectMetricsRegistry(): ParameterDecorator &
  PropertyDecorator {
  return Inject(METRICS_REGISTRY);
}
