export { CacheInvalidationInstrumentation } from './cache-invalidation-instrumentation.js';
export { CacheInvalidationOpenTelemetryModule } from './cache-invalidation-opentelemetry.module.js';
