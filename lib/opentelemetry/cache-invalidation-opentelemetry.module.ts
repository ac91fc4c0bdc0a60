import { Module } from '@nestjs/common';
import { CacheInvalidationInstrumentation } from './cache-invalidation-instrumentation.js';

/**
 * Traces and metrics by OpenTelemetry: import it beside
 * `CacheInvalidationModule`. It uses the API package alone; the application's SDK
 * exports spans and metrics, and without an SDK there are none.
 *
 * Each message has one span for its publish and one for each delivery, in one trace,
 * across services; each call of an `@OnInvalidation()`
 * method has one below. Spans name entity types, never ids or patterns. Metrics
 * are those of Prometheus, by `cache_invalidation.service`; of two applications with
 * one service name in one process only one is visible.
 *
 * @example
 * ```ts
 * @Module({
 *   imports: [
 *     CacheInvalidationModule.forRootAsync(),
 *     CacheInvalidationOpenTelemetryModule,
 *   ],
 * })
 * export class AppModule {}
 * ```
 * @publicApi
 */
@Module({ providers: [CacheInvalidationInstrumentation] })
export class CacheInvalidationOpenTelemetryModule {}
