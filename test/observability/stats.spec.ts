import {
  batch,
  entity,
  InvalidatesCache,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  OnInvalidation,
  type InvalidationStatsSnapshot,
} from 'nestjs-cache-invalidation';
import { encodeMessage } from 'nestjs-cache-invalidation/wire';
import { settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Instance } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { MemoryTransport } from '../../lib/transport/index.js';
import { startApp } from '../testing/fakes/start-app.js';

const NOTHING = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };

const ZEROS = {
  published: 0,
  queued: 0,
  received: 0,
  delivered: 0,
  replayed: 0,
  widened: 0,
  malformed: 0,
  unverified: 0,
  handlerErrors: 0,
  publishErrors: 0,
  reconnects: 0,
};

function countsOf({
  since: _since,
  latency: _latency,
  sources: _sources,
  ...counts
}: InvalidationStatsSnapshot) {
  return counts;
}

class Application {
  @InvalidatesCache('User', (id: string) => id)
  async update(_id: string): Promise<void> {}

  @InvalidatesCache('User', () => {
    throw new Error('selector');
  })
  async broken(): Promise<void> {}

  @OnInvalidation('Post')
  posts(): void {
    throw new Error('handler');
  }

  @OnInvalidation()
  async all(): Promise<void> {}
}

async function start() {
  const started = await startApp({ providers: [Application] });
  return {
    ...started,
    application: started.app.get(Application),
    publisher: started.app.get(InvalidationPublisher),
    stats: started.app.get(InvalidationStats),
  };
}

describe('InvalidationStats', () => {
  it('are zero at first', async () => {
    const before = new Date();
    const { stats } = await start();

    const snapshot = stats.snapshot();

    expect(countsOf(snapshot)).toEqual(ZEROS);
    expect(snapshot.latency).toEqual({
      publish: NOTHING,
      propagation: NOTHING,
      handler: NOTHING,
    });
    expect(snapshot.since.getTime()).toBeGreaterThanOrEqual(before.getTime());
  });

  it('count published messages, and their latency', async () => {
    const { app, application, publisher, stats } = await start();

    await application.update('1');
    await publisher.invalidateUser('2');
    await publisher.invalidateBatch(['user:1', 'user:2']);
    await settled(app);

    const snapshot = stats.snapshot();
    expect(countsOf(snapshot)).toEqual({
      ...ZEROS,
      published: 3,
      delivered: 3,
    });
    expect(snapshot.latency.publish.count).toBe(3);
    expect(snapshot.latency.handler.count).toBe(3);
    expect(snapshot.latency.propagation).toEqual(NOTHING);
  });

  it('count each message of a split batch', async () => {
    const { app } = await startApp({ options: { maxBatchSize: 2 } });

    await app
      .get(InvalidationPublisher)
      .invalidateBatch(['a:1', 'a:2', 'a:3', 'a:4', 'a:5']);

    expect(app.get(InvalidationStats).snapshot().published).toBe(3);
  });

  it('count received messages, and their latency', async () => {
    const { app, broker, stats } = await start();

    broker.emit(entity('User', 1));
    broker.emit(batch(['user:1']));
    await settled(app);

    const snapshot = stats.snapshot();
    expect(countsOf(snapshot)).toEqual({
      ...ZEROS,
      received: 2,
      delivered: 2,
    });
    expect(snapshot.latency.propagation.count).toBe(2);
    expect(snapshot.latency.publish).toEqual(NOTHING);
  });

  it('count errors of handlers and selectors', async () => {
    const { app, application, broker, stats } = await start();

    broker.emit(entity('Post', 1));
    await application.broken();
    await settled(app);

    expect(stats.snapshot()).toMatchObject({ handlerErrors: 2, delivered: 2 });
    // Both handlers received the post, and one handler the message of the
    // selector that failed.
    expect(stats.snapshot().latency.handler.count).toBe(3);
  });

  it('count malformed messages separately', async () => {
    const { broker, stats } = await start();

    broker.emitRaw('garbage');
    broker.emitRaw('{}');
    broker.emitRaw('');

    expect(countsOf(stats.snapshot())).toEqual({ ...ZEROS, malformed: 3 });
  });

  it('count widened messages', async () => {
    const { broker, stats } = await start();
    const known = encodeMessage(
      new Instance('newer').stamp(entity('User', 1)),
      Infinity,
    );

    broker.emitRaw(known.replace('"Delete"', '"Refresh"'));

    expect(countsOf(stats.snapshot())).toEqual({
      ...ZEROS,
      received: 1,
      delivered: 1,
      widened: 1,
    });
  });

  it('count failed publishes', async () => {
    const { app, publisher, stats } = await start();
    const publish = vi.spyOn(MemoryTransport.prototype, 'publish');
    onTestFinished(() => publish.mockRestore());
    publish.mockResolvedValueOnce([new Error('READONLY')]);

    const receipt = await publisher.invalidateUser(1);

    expect(receipt.status).toBe('queued');
    expect(stats.snapshot()).toMatchObject({
      published: 0,
      queued: 1,
      publishErrors: 1,
      delivered: 1,
    });
    await settled(app);
    expect(stats.snapshot()).toMatchObject({
      published: 1,
      queued: 1,
      delivered: 1,
    });
  });

  it('are separate for two applications', async () => {
    const first = await startApp();
    const second = await startApp({ broker: first.broker });

    await first.app.get(InvalidationPublisher).invalidateUser(1);

    expect(countsOf(first.app.get(InvalidationStats).snapshot())).toEqual({
      ...ZEROS,
      published: 1,
      delivered: 1,
    });
    expect(countsOf(second.app.get(InvalidationStats).snapshot())).toEqual({
      ...ZEROS,
      received: 1,
      delivered: 1,
    });
  });
});

describe('InvalidationStats.snapshot()', () => {
  it('does not change afterwards', async () => {
    const { publisher, stats } = await start();
    await publisher.invalidateUser(1);
    const snapshot = stats.snapshot();

    await publisher.invalidateUser(2);

    expect(snapshot.published).toBe(1);
    expect(snapshot.latency.publish.count).toBe(1);
    expect(stats.snapshot().published).toBe(2);
  });

  it('is JSON', async () => {
    const { stats } = await start();

    const snapshot = stats.snapshot();

    expect(JSON.parse(JSON.stringify(snapshot))).toEqual({
      ...snapshot,
      since: snapshot.since.toISOString(),
    });
  });

  it('starts from zero after reset(), with a new date', async () => {
    const { broker, publisher, stats } = await start();
    await publisher.invalidateUser(1);
    broker.emit(entity('Post', 1));
    broker.emitRaw('garbage');
    const before = stats.snapshot();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    onTestFinished(() => void vi.useRealTimers());

    stats.reset();

    const after = stats.snapshot();
    expect(countsOf(after)).toEqual(ZEROS);
    expect(after.latency).toEqual({
      publish: NOTHING,
      propagation: NOTHING,
      handler: NOTHING,
    });
    expect(after.since.getTime()).toBe(Date.now());
    expect(before).toMatchObject({ published: 1, received: 1, malformed: 1 });
    await publisher.invalidateUser(2);
    expect(stats.snapshot().published).toBe(1);
  });
});

describe('InvalidationStats: latency', () => {
  it('is summarized in milliseconds', async () => {
    const { app, stats } = await start();
    const counters = app.get(InvalidationCounters);

    for (let latency = 1; latency <= 100; latency++)
      counters.propagated(latency);

    const { propagation } = stats.snapshot().latency;
    expect(propagation.count).toBe(100);
    expect(propagation.p50).toBeCloseTo(50, 0);
    expect(propagation.p90).toBeCloseTo(90, 0);
    expect(propagation.p99).toBeCloseTo(99, 0);
    expect(propagation.max).toBeCloseTo(100, 0);
  });

  it('loses no message or eviction when its listener throws', async () => {
    const { publisher, app } = await start();
    const cache = new Map([['user:1', 1]]);
    app.get(InvalidationSubscriber).bind(cache);
    for (const latency of Object.values(
      app.get(InvalidationCounters).latencies,
    )) {
      latency.listener = () => {
        throw new Error('of the system of metrics');
      };
    }

    const { status } = await publisher.invalidateUser(1);

    expect(status).toBe('delivered');
    expect(cache.size).toBe(0);
    expect(publisher.pending).toBe(0);
  });

  it.each([
    ['a negative latency between two clocks', -5_000, 0.001],
    ['a latency of zero', 0, 0.001],
    ['a latency below a millisecond', 0.25, 0.25],
    ['a latency of days between two clocks', 1e9, 3_600_000],
  ])('records %s as close as possible', async (_what, given, recorded) => {
    const { app, stats } = await start();
    const counters = app.get(InvalidationCounters);

    counters.propagated(given);

    const { propagation } = stats.snapshot().latency;
    expect(propagation.count).toBe(1);
    expect(propagation.max).toBeGreaterThanOrEqual(recorded * 0.999);
    expect(propagation.max).toBeLessThanOrEqual(recorded * 1.001);
  });
});
