export { CacheInvalidationOpenTelemetryModule } from './opentelemetry.module.js';
