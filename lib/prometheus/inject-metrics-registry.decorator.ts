import { Inject } from '@nestjs/common';

/** Injection token of the registry. @internal */
export const METRICS_REGISTRY = Symbol('METRICS_REGISTRY');

/**
 * Injects the `Registry` of prom-client that this library's metrics are in:
 * the one that `forRoot()` was given, or else one of the application's own.
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
