import { metrics, type Attributes } from '@opentelemetry/api';
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type Histogram,
  type MetricData,
} from '@opentelemetry/sdk-metrics';
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { CacheInvalidationInstrumentation } from 'nestjs-cache-invalidation/opentelemetry';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  InvalidationCounters,
  LATENCIES,
  LATENCY_BOUNDS,
  METRICS,
} from '../../lib/observability/index.js';
import { uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { FOREVER } from '../subscriber/setup.js';
import { startTraced } from './setup.js';

/** Sets up metrics as an application does, for one test; returns the exported data. */
function setUpMetrics(
  temporality = AggregationTemporality.CUMULATIVE,
): () => Promise<Map<string, MetricData>> {
  const exporter = new InMemoryMetricExporter(temporality);
  const provider = new MeterProvider({
    readers: [
      new PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis: FOREVER,
        exportTimeoutMillis: FOREVER,
      }),
    ],
  });
  metrics.setGlobalMeterProvider(provider);
  onTestFinished(async () => {
    metrics.disable();
    await provider.shutdown();
  });
  return async () => {
    exporter.reset();
    await provider.forceFlush();
    const exported = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap((scope) => scope.metrics);
    return new Map(exported.map((each) => [each.descriptor.name, each]));
  };
}

/** Data points of one metric, as attributes and value. */
const pointsOf = (
  exported: ReadonlyMap<string, MetricData>,
  name: string,
): [Attributes, unknown][] =>
  (exported.get(`cache_invalidation.${name}`)?.dataPoints ?? []).map(
    ({ attributes, value }) => [attributes, value],
  );

const service = (name: string): Attributes => ({
  'cache_invalidation.service': name,
});

describe('OpenTelemetry metrics', () => {
  it('export all measurements of each application in a process', async () => {
    const collect = setUpMetrics();
    const channel = uniqueChannel();
    const writer = await startTraced({ channel, serviceName: 'writer' });
    const reader = await startTraced({ channel, serviceName: 'reader' });
    const cache = reader.context.get(NearCacheFactory).create<string>('User');
    reader.subscriber.subscribe(() => null);
    await cache.get(1, () => Promise.resolve('Ada'));
    await cache.get(1, () => Promise.resolve('Ada'));
    await writer.publisher.invalidateUser(1);
    await writer.publisher.invalidateUser(2);
    await eventually(() => expect(reader.messages).toHaveLength(2));

    const exported = await collect();

    const ofSources = METRICS.filter(({ label = '' }) =>
      [label].flat().includes('source'),
    );
    const names = [...METRICS, ...LATENCIES].map(
      ({ name }) => `cache_invalidation.${name}`,
    );
    // The counter of widened messages has no value before the first one, and those of
    // regions and other sources none without these.
    expect(names).toEqual(expect.arrayContaining([...exported.keys()]));
    expect(exported.size).toBeGreaterThanOrEqual(
      names.length - ofSources.length - 1,
    );
    expect(pointsOf(exported, 'published')).toEqual([
      [service('writer'), 2],
      [service('reader'), 0],
    ]);
    expect(pointsOf(exported, 'received')).toEqual([
      [service('writer'), 0],
      [service('reader'), 2],
    ]);
    expect(pointsOf(exported, 'near_cache_hits')).toEqual([
      [{ ...service('reader'), 'cache_invalidation.cache': 'User' }, 1],
    ]);
    const states = pointsOf(exported, 'status').filter(
      ([, value]) => value === 1,
    );
    expect(states.map(([attributes]) => attributes)).toEqual([
      { ...service('writer'), 'cache_invalidation.state': 'live' },
      { ...service('reader'), 'cache_invalidation.state': 'live' },
    ]);
    const published = exported.get('cache_invalidation.published')!;
    expect(published.dataPointType).toBe(DataPointType.SUM);
    expect(published).toMatchObject({ isMonotonic: true });
    const outbox = exported.get('cache_invalidation.outbox_size')!;
    expect(outbox.dataPointType).toBe(DataPointType.GAUGE);
  });

  it('export latencies in seconds, in the buckets of Prometheus', async () => {
    const collect = setUpMetrics();
    const writer = await startTraced({ serviceName: 'writer' });
    const { channel } = writer;
    const reader = await startTraced({ channel, serviceName: 'reader' });
    reader.subscriber.subscribe(() => null);

    await writer.publisher.invalidateUser(1);
    await eventually(() => expect(reader.messages).toHaveLength(1));

    const exported = await collect();
    for (const [name, whose] of [
      ['publish_latency', 'writer'],
      ['latency', 'reader'],
      ['processing_latency', 'reader'],
    ] as const) {
      const { descriptor, dataPoints } = exported.get(
        `cache_invalidation.${name}`,
      )!;
      expect(descriptor.unit).toBe('s');
      const points = pointsOf(exported, name);
      expect(points.map(([attributes]) => attributes)).toEqual([
        service(whose),
      ]);
      const { count, sum, buckets } = dataPoints[0]!.value as Histogram;
      expect(count).toBe(1);
      expect(buckets.boundaries).toEqual(LATENCY_BOUNDS);
      // A sum in milliseconds instead of seconds would exceed this limit.
      expect(sum).toBeLessThan(5);
    }
    const { publish } = writer.stats.snapshot().latency;
    const [[, told]] = pointsOf(exported, 'publish_latency') as [
      [Attributes, Histogram],
    ];
    expect(told.sum! * 1_000).toBeCloseTo(publish.max, 1);
  });

  it('export an infinite staleness before the first proof', async () => {
    const collect = setUpMetrics();
    const app = await startTraced({
      connection: 'redis://127.0.0.1:1',
      startupTimeout: 1,
      regions: { local: 'eu', sources: { us: {} } },
    });

    const exported = await collect();

    expect(app.subscriber.staleness()).toBe(Infinity);
    // Infinity cannot be exported, and a missing value would look like a
    // healthy state.
    expect(pointsOf(exported, 'staleness')).toMatchObject([[{}, 1e9]]);
    expect(pointsOf(exported, 'relay_lag')).toMatchObject([
      [{ 'cache_invalidation.source': 'us' }, 1e9],
    ]);
    expect(pointsOf(exported, 'journal_lag')).toHaveLength(1);
  });

  it('end with the application', async () => {
    const collect = setUpMetrics(AggregationTemporality.DELTA);
    const app = await startTraced({ serviceName: 'ending' });
    const staying = await startTraced({ serviceName: 'staying' });
    await app.publisher.invalidateUser(1);
    await staying.publisher.invalidateUser(1);
    expect(pointsOf(await collect(), 'published')).toHaveLength(2);

    await app.close();

    await staying.publisher.invalidateUser(2);
    const exported = await collect();
    expect(pointsOf(exported, 'published')).toEqual([[service('staying'), 1]]);
    expect(
      pointsOf(exported, 'publish_latency').map(([attributes]) => attributes),
    ).toEqual([service('staying')]);
    const { publish, propagation, handler } =
      app.context.get(InvalidationCounters).latencies;
    const recorders = [publish, propagation, handler];
    expect(recorders.map(({ listener }) => listener)).toEqual([
      null,
      null,
      null,
    ]);
  });

  it('do not affect receipts when an SDK fails', async () => {
    const provider = new MeterProvider({
      views: [
        {
          instrumentName: 'cache_invalidation.*',
          attributesProcessors: [
            {
              process: () => {
                throw new Error('The SDK is broken.');
              },
            },
          ],
        },
      ],
      readers: [
        new PeriodicExportingMetricReader({
          exporter: new InMemoryMetricExporter(
            AggregationTemporality.CUMULATIVE,
          ),
          exportIntervalMillis: FOREVER,
          exportTimeoutMillis: FOREVER,
        }),
      ],
    });
    metrics.setGlobalMeterProvider(provider);
    onTestFinished(() => metrics.disable());
    // A busy machine must not move the message to the outbox.
    const writer = await startTraced({ publishTimeout: 10_000 });
    const reader = await startTraced({ channel: writer.channel });

    const { status } = await writer.publisher.invalidateUser(1);

    expect(status).toBe('delivered');
    await eventually(() => expect(reader.messages).toHaveLength(1));
    expect([...writer.errors, ...reader.errors]).toEqual([]);
  });

  it('do not affect the shutdown when an SDK fails', async () => {
    setUpMetrics();
    const meter = Object.getPrototypeOf(metrics.getMeter('any'));
    const removing = vi
      .spyOn(meter, 'removeBatchObservableCallback')
      .mockImplementation(() => {
        throw new Error('The SDK is broken.');
      });
    onTestFinished(() => removing.mockRestore());
    const app = await startTraced();
    const instrumentation = app.context.get(CacheInvalidationInstrumentation);

    // Nest 11 calls no further hook after one that throws: the outbox would not
    // be sent.
    expect(() => instrumentation.onApplicationShutdown()).not.toThrow();

    expect(removing).toHaveBeenCalledOnce();
  });
});
