import { Module } from '@nestjs/common';
import { CacheInvalidationInstrumentation } from './cache-invalidation.instrumentation.js';

/**
 * Traces and metrics by OpenTelemetry: import it beside
 * `CacheInvalidationModule`. It uses the API package alone; what becomes of spans
 * and metrics is up to the SDK that the application has set up, and without one
 * nothing becomes of them.
 *
 * Each message has a span where it is published and one wherever it is
 * delivered, in one trace, across services; each call of an `@OnInvalidation()`
 * method has one below. They tell entity types, never ids or patterns. Metrics
 * are the same as Prometheus', by `cache_invalidation.service`; of two
 * applications of one service name in one process only one is seen there.
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
