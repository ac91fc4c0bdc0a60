import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { Histogram, Registry, type RegistryContentType } from 'prom-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  LATENCY_BOUNDS,
  LatencyRecorder,
  type InvalidationMetrics,
} from '../../lib/observability/index.js';
import { EXPOSITIONS } from '../../lib/prometheus/expositions.js';
import { PulledMetric } from '../../lib/prometheus/pulled-metric.js';
import { hasPromtool, promtool } from '../support/promtool.js';
import { Scrape } from '../support/scrape.js';
import { startMetered } from './metered.app.js';

const NAME = 'cache_invalidation_publish_latency_seconds';

/** Scrape of a histogram of this library with these latencies, in milliseconds. */
async function ours(latencies: number[]): Promise<Scrape> {
  const publish = new LatencyRecorder();
  for (const latency of latencies) publish.record(latency);
  const metric = new PulledMetric(
    EXPOSITIONS.find(({ name }) => name === NAME)!,
  );
  const source = { counters: { latencies: { publish } } };
  metric.sources.set('users', source as unknown as InvalidationMetrics);
  const registry = new Registry();
  registry.registerMetric(metric);
  return new Scrape(await registry.metrics());
}

/** Scrape of prom-client's own histogram with the same latencies. */
async function theirs(latencies: number[]): Promise<Scrape> {
  const registry = new Registry();
  const histogram = new Histogram({
    name: NAME,
    help: '.',
    labelNames: ['service'],
    buckets: [...LATENCY_BOUNDS],
    registers: [registry],
  });
  histogram.zero({ service: 'users' });
  for (const latency of latencies) {
    histogram.observe({ service: 'users' }, latency / 1_000);
  }
  return new Scrape(await registry.metrics());
}

const SUM = `${NAME}_sum`;
const withoutSum = ({ lines }: Scrape) =>
  lines
    .filter(({ name }) => name !== SUM)
    .map(({ name, labels: { service, le }, value }) => ({
      name,
      service,
      le,
      value,
    }));
const sumOf = ({ lines }: Scrape) =>
  lines.find(({ name }) => name === SUM)!.value;

describe('Histogram', () => {
  it('has the recorded values in cumulative buckets', async () => {
    const scrape = await ours([0, 0.1, 0.11, 1, 1, 9.99, 10, 10.01, 60_000]);
    const upTo = (le: string) => scrape.value(bucket, { le });
    const bucket = 'publish_latency_seconds_bucket';
    expect(upTo('0.0001')).toBe(2);
    expect(upTo('0.00025')).toBe(3);
    expect(upTo('0.001')).toBe(5);
    expect(upTo('0.005')).toBe(5);
    expect(upTo('0.01')).toBe(7);
    expect(upTo('0.025')).toBe(8);
    expect(upTo('10')).toBe(8);
    expect(upTo('+Inf')).toBe(9);
    expect(scrape.value('publish_latency_seconds_count')).toBe(9);
    expect(sumOf(scrape)).toBeCloseTo(60.032_21, 9);
  });

  it('equals one of prom-client', async () => {
    const microseconds = fc.integer({ min: 0, max: 20_000_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(microseconds), async (all) => {
        // A value on a bound may be rounded to either side.
        const latencies = all.map((us) => (us + 0.5) / 1_000);
        const [own, reference] = [
          await ours(latencies),
          await theirs(latencies),
        ];
        expect(withoutSum(own)).toEqual(withoutSum(reference));
        expect(sumOf(own)).toBeCloseTo(sumOf(reference), 6);
      }),
    );
  });
});

describe.runIf(hasPromtool)('promtool', () => {
  const start = async (
    registry: Registry<RegistryContentType> = new Registry(),
  ) => {
    const app = await startMetered({ registry, serviceName: 'a "b"\\c' });
    app.context.get(NearCacheFactory).create('User');
    await app.publisher.invalidate('User', 1);
    return app;
  };

  it('accepts a scrape', async () => {
    const app = await start();
    const input = await app.registry.metrics();
    expect(promtool(['check', 'metrics'], { input })).toEqual({
      ok: true,
      said: '',
    });
    const wrong = input.replaceAll('published_total', 'published');
    expect(promtool(['check', 'metrics'], { input: wrong })).toMatchObject({
      ok: false,
      said: expect.stringContaining('should have "_total" suffix'),
    });
  });

  it('accepts a scrape as OpenMetrics', async () => {
    const registry = new Registry<RegistryContentType>();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const app = await start(registry);
    const text = await app.registry.metrics();
    const folder = mkdtempSync(join(tmpdir(), 'openmetrics-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const load = (name: string, exposition: string): boolean => {
      const file = join(folder, name);
      // promtool imports only values with a timestamp.
      const dated = exposition.replaceAll(/^[^#\n].*$/gm, '$& 1700000000');
      writeFileSync(file, dated);
      const into = join(folder, `${name}-blocks`);
      return promtool(['tsdb', 'create-blocks-from', 'openmetrics', file, into])
        .ok;
    };
    expect(load('right', text)).toBe(true);
    expect(load('without-end', text.replace('# EOF\n', ''))).toBe(false);
  });
});
