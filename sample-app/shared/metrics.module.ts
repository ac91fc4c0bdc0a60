import { Controller, Get, Header, Module } from '@nestjs/common';
import {
  CacheInvalidationPrometheusModule,
  InjectMetricsRegistry,
} from 'nestjs-cache-invalidation/prometheus';
import { Registry } from 'prom-client';

@Controller('metrics')
class MetricsController {
  constructor(@InjectMetricsRegistry() private readonly registry: Registry) {}

  @Get()
  @Header('content-type', Registry.PROMETHEUS_CONTENT_TYPE)
  metrics(): Promise<string> {
    return this.registry.metrics();
  }
}

/** Metrics for Prometheus. Every service has this module. */
@Module({
  imports: [CacheInvalidationPrometheusModule.forRoot()],
  controllers: [MetricsController],
})
export class MetricsModule {}
