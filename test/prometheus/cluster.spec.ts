import { serialize, deserialize } from 'node:v8';
import { AggregatorRegistry, Registry } from 'prom-client';
import { CacheInvalidationPrometheusModule } from 'nestjs-cache-invalidation/prometheus';
import { describe, expect, it } from 'vitest';
import { startApp } from '../support/app.js';

/** Metrics that a worker sends to the primary process. */
async function metricsOf(connection?: string): Promise<unknown> {
  const registry = new Registry();
  const imports = [CacheInvalidationPrometheusModule.forRoot({ registry })];
  const given = connection === undefined ? {} : { connection };
  await startApp({ ...given, startupTimeout: 1, imports });
  return registry.getMetricsAsJSON();
}

describe('Prometheus metrics of a Node.js cluster', () => {
  it.each<[string, (metrics: unknown) => unknown]>([
    ['as JSON', (metrics) => JSON.parse(JSON.stringify(metrics))],
    ['as structured clones', (metrics) => deserialize(serialize(metrics))],
  ])('include a worker that never reached Redis, sent %s', async (_, send) => {
    const workers = [
      await metricsOf(),
      await metricsOf('redis://127.0.0.1:1'),
      await metricsOf(),
    ];
    const all = AggregatorRegistry.aggregate(workers.map(send) as object[]);
    expect(await all.metrics()).toMatch(
      /^cache_invalidation_staleness_seconds\{[^}]*\} \+Inf$/m,
    );
  });
});
