import { Injectable, type INestApplicationContext } from '@nestjs/common';
import {
  Cached,
  NearCacheFactory,
  OnInvalidation,
} from 'nestjs-cache-invalidation';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { PositionTracker } from '../../lib/subscriber/index.js';
import {
  InvalidationMetrics,
  LATENCIES,
  LATENCY_BOUNDS,
  LatencyRecorder,
  METRICS,
} from '../../lib/observability/index.js';
import { connectRaw, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import {
  becomes,
  hears,
  journalOf,
  patient,
  users,
} from '../subscriber/setup.js';
import { startServer } from '../support/redis-server.js';

/** Metrics of one application, by name and label value, if there is a label. */
function read(context: INestApplicationContext): Record<string, number> {
  const metrics = context.get(InvalidationMetrics);
  return Object.fromEntries(
    METRICS.flatMap(({ name, read: values }) =>
      [...values(metrics)].map(([label, value]) => [
        [name, label].flat().filter(Boolean).join('.'),
        value,
      ]),
    ),
  );
}

function latency(context: INestApplicationContext, name: string): number {
  const metrics = context.get(InvalidationMetrics);
  const { counts } = LATENCIES.find((one) => one.name === name)!.of(metrics);
  return counts.reduce((sum, count) => sum + count, 0);
}

@Injectable()
class Users {
  @Cached('User', (id: string) => id)
  find(id: string): Promise<string> {
    return Promise.resolve(id);
  }

  @OnInvalidation('User')
  hear(message: { readonly entityId: string | null }): void {
    if (message.entityId === 'bad') throw new Error('on purpose');
  }
}

describe('Metrics', () => {
  it('count events', async () => {
    const writer = await startApp({ serviceName: 'writer' });
    const reader = await startApp({
      channel: writer.channel,
      providers: [Users],
    });
    const service = reader.context.get(Users);
    for (let i = 0; i < 3; i++) await service.find('1');

    await writer.publisher.invalidateBatch(['user:1', 'user:2']);
    await writer.publisher.invalidate('User', 'bad');
    await connectRaw().publish(writer.channel, 'no message');
    await eventually(() => expect(reader.errors).toHaveLength(2));
    await service.find('1');

    expect(read(writer.context)).toMatchObject({
      published: 2,
      received: 0,
      delivered: 2,
      publish_errors: 0,
      malformed: 1,
    });
    expect(read(reader.context)).toMatchObject({
      published: 0,
      received: 2,
      delivered: 2,
      malformed: 1,
      processing_errors: 1,
      outbox_size: 0,
      journal_lag: 0,
      reconnects: 0,
      'status.live': 1,
      'status.disconnected': 0,
      'near_cache_hits.Users.find': 2,
      'near_cache_misses.Users.find': 2,
      'near_cache_loads.Users.find': 2,
      'near_cache_entries.Users.find': 1,
    });
    expect(latency(writer.context, 'publish_latency')).toBe(2);
    expect(latency(reader.context, 'latency')).toBe(2);
    // Two messages each for the near cache and the handler.
    expect(latency(reader.context, 'processing_latency')).toBe(4);
    expect(read(reader.context)['staleness']).toBeLessThan(60);
  });

  it('continue when the statistics are reset', async () => {
    const app = await startApp();
    await app.publisher.invalidate('User', 1);
    app.stats.reset();
    await app.publisher.invalidate('User', 2);

    expect(app.stats.snapshot().published).toBe(1);
    expect(read(app.context)['published']).toBe(2);
    expect(latency(app.context, 'publish_latency')).toBe(2);
  });

  it('have a name for each near cache', async () => {
    const { context } = await startApp();
    const caches = context.get(NearCacheFactory);
    caches.create('User');
    const second = caches.create('User');
    caches.create('User');
    await second.get('1', () => 'one');

    expect([...caches.stats().keys()]).toEqual(['User', 'User-2', 'User-3']);
    expect(caches.stats().get('User-2')).toEqual(second.stats);
  });

  it('report the outbox and the staleness while Redis is away', async () => {
    const server = await startServer();
    const app = await startApp({
      connection: server.url,
      heartbeatInterval: 50,
      heartbeatTimeout: 50,
    });
    expect(app.publisher.outboxSize).toBe(0);
    // A busy machine may not answer the first heartbeats in time.
    await eventually(() =>
      expect(read(app.context)['staleness']).toBeLessThan(60),
    );

    await server.stop();
    await becomes(app, 'disconnected');
    await app.publisher.invalidate('User', 1);
    await app.publisher.invalidate('User', 2);

    expect(read(app.context)).toMatchObject({
      outbox_size: 2,
      queued: 2,
      'status.disconnected': 1,
      'status.live': 0,
    });
    const before = read(app.context)['staleness']!;
    await eventually(() =>
      expect(read(app.context)['staleness']).toBeGreaterThan(before + 0.1),
    );
  });

  it('count replayed messages, reconnects and causes of widening', async () => {
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    onTestFinished(() => proxy.close());
    const writer = await startApp();
    const reader = await startApp({
      channel: writer.channel,
      connection: proxy.url,
      heartbeatInterval: 50,
    });
    await writer.publisher.invalidate('User', 0);
    await hears(reader, ['User:0']);
    proxy.swallow();
    await writer.publisher.invalidate('User', 1);
    await writer.publisher.invalidate('User', 2);
    proxy.cut();
    proxy.pass();
    await hears(reader, users(0, 1, 2));

    expect(read(reader.context)).toMatchObject({ replayed: 2, reconnects: 1 });
    await connectRaw().del(journalOf(writer.channel));
    proxy.cut();
    await eventually(
      () => expect(read(reader.context)['widened.missed']).toBe(1),
      patient,
    );
    expect(reader.stats.snapshot().widened).toBe(1);
  });
});

describe('Metrics: lag', () => {
  it("is measured from the last delivered message to the journal's end", async () => {
    const writer = await startApp();
    const { channel } = writer;
    const reader = await startApp({ channel, heartbeatInterval: 50 });
    await writer.publisher.invalidate('User', 1);
    await hears(reader, ['User:1']);
    const lags: number[] = [];
    reader.subscriber.status$.subscribe(({ state }) => {
      if (state === 'catching-up') lags.push(reader.subscriber.lag());
    });
    expect(reader.subscriber.lag()).toBe(0);

    // A journal entry of an hour later, which was not published on the channel.
    const { position } = reader.context.get(PositionTracker, { strict: false });
    const later = Number(position!.split('-')[0]) + 3_600_000;
    await connectRaw().xadd(journalOf(channel), `${later}-1`, 'm', '{}');
    await hears(reader, ['User:1', 'missed']);

    expect(lags).toEqual([3_600_000]);
    expect(reader.subscriber.lag()).toBe(0);
  });

  it('is null without a position', async () => {
    const app = await startApp();
    expect(app.subscriber.lag()).toBe(0);
    const without = await startApp({ journal: false });
    await without.publisher.invalidate('User', 1);
    expect(without.subscriber.lag()).toBe(0);
  });
});

describe('Metrics: latency', () => {
  it('is counted in the bucket whose bound it does not exceed', () => {
    const recorder = new LatencyRecorder();
    const heard: number[] = [];
    recorder.listener = (ms) => heard.push(ms);
    for (const ms of [-5, 0, 0.1, 0.11, 10, 10.1, 10_000, 10_001]) {
      recorder.record(ms);
    }

    const counts = Object.fromEntries(
      [...LATENCY_BOUNDS, Infinity].map((bound, i) => [
        bound,
        recorder.counts[i],
      ]),
    );
    expect(counts).toMatchObject({
      0.0001: 3,
      0.00025: 1,
      0.01: 1,
      0.025: 1,
      10: 1,
      Infinity: 1,
    });
    expect([...recorder.counts].reduce((a, b) => a + b)).toBe(8);
    expect(recorder.sum).toBeCloseTo(20.021_31, 6);
    expect(heard).toEqual([0, 0, 0.1, 0.11, 10, 10.1, 10_000, 10_001]);
    recorder.reset();
    expect(recorder.sum).toBeCloseTo(20.021_31, 6);
    expect(recorder.summary().count).toBe(0);
  });
});
