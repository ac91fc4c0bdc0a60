export { InjectMetricsRegistry } from './inject-metrics-registry.decorator.js';
export {
  CacheInvalidationPrometheusModule,
  type PrometheusOptions,
} from './prometheus.module.js';
