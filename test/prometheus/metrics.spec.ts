import { Injectable } from '@nestjs/common';
import {
  InvalidatesCache,
  NearCacheFactory,
  OnInvalidation,
} from 'nestjs-cache-invalidation';
import { describe, expect, inject, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startRedis } from '../support/redis.js';
import type { Scrape } from '../support/scrape.js';
import { Hand } from '../subscriber/setup.js';
import { startMetered, type MeteredApp } from './metered.app.js';

@Injectable()
class Application {
  @InvalidatesCache('User', (id: string) => id)
  async update(_id: string): Promise<void> {}

  @OnInvalidation('User')
  users(): void {}

  @OnInvalidation('Post')
  posts(): void {
    throw new Error('A handler of the test that fails.');
  }
}

const patient = { timeout: 15_000 };

function shows(
  app: MeteredApp,
  expected: (scrape: Scrape) => void,
): Promise<void> {
  return eventually(async () => expected(await app.scrape()), patient);
}

const stateOf = (scrape: Scrape): string[] =>
  scrape.lines
    .filter(({ name }) => name === 'cache_invalidation_status')
    .filter(({ value }) => value === 1)
    .map(({ labels }) => labels['state']!);

/** Public names, which users' dashboards rely on. */
const PROMISED = [
  'published_total',
  'publish_latency_seconds',
  'publish_errors_total',
  'received_total',
  'processing_latency_seconds',
  'processing_errors_total',
  'latency_seconds',
  'queued_total',
  'delivered_total',
  'replayed_total',
  'malformed_total',
  'widened_total',
  'unverified_total',
  'outbox_size',
  'journal_lag_seconds',
  'staleness_seconds',
  'status',
  'reconnects_total',
  'relay_lag_seconds',
  'relay_holder',
  'relayed_total',
  'relay_widened_total',
  'source_state',
  'source_staleness_seconds',
  'source_holder_seen_seconds',
  'source_lag_seconds',
  'source_backlog_bytes',
  'source_retained_bytes',
  'source_spare_bytes',
  'source_waiting',
  'source_transactions_total',
  'source_rows_total',
  'source_widened_total',
  'near_cache_hits_total',
  'near_cache_misses_total',
  'near_cache_loads_total',
  'near_cache_overtaken_total',
  'near_cache_behind_total',
  'near_cache_primary_loads_total',
  'near_cache_l2_hits_total',
  'near_cache_l2_refused_total',
  'near_cache_l2_errors_total',
  'near_cache_l2_unshared_total',
  'near_cache_entries',
];

describe('Prometheus scrape', () => {
  it('has each metric under its documented name, with the service', async () => {
    const app = await startMetered({ serviceName: 'users' });
    const { names, lines } = await app.scrape();
    const promised = PROMISED.map((name) => `cache_invalidation_${name}`);
    expect(names.toSorted()).toEqual(promised.toSorted());
    expect(lines.length).toBeGreaterThan(50);
    for (const { labels } of lines) expect(labels['service']).toBe('users');
  });

  it('counts published and received messages, and their latencies', async () => {
    const writer = await startMetered({
      serviceName: 'writer',
      providers: [Application],
    });
    const reader = await startMetered({
      serviceName: 'reader',
      channel: writer.channel,
      providers: [Application],
    });
    await writer.context.get(Application).update('4711-of-a-user');
    await writer.publisher.invalidate('Post', '4711-of-a-post');
    await shows(reader, (scrape) => {
      expect(scrape.value('received_total')).toBe(2);
      expect(scrape.value('delivered_total')).toBe(2);
      expect(scrape.value('published_total')).toBe(0);
      expect(scrape.value('latency_seconds_count')).toBe(2);
      expect(scrape.value('processing_latency_seconds_count')).toBe(2);
      expect(scrape.value('processing_errors_total')).toBe(1);
    });
    const scrape = await writer.scrape();
    expect(scrape.value('published_total')).toBe(2);
    expect(scrape.value('received_total')).toBe(0);
    expect(scrape.value('publish_errors_total')).toBe(0);
    expect(scrape.value('publish_latency_seconds_count')).toBe(2);
    expect(scrape.value('publish_latency_seconds_sum')).toBeGreaterThan(0);
    // A series for each entity would overload Prometheus.
    expect(scrape.text).not.toContain('4711');
    expect((await reader.scrape()).text).not.toContain('4711');
  });

  it('shows one state at a time, and an outage', async () => {
    const server = await startRedis();
    const connection = server.url;
    const app = await startMetered({ connection, publishTimeout: 50 });
    expect(stateOf(await app.scrape())).toEqual(['live']);
    expect((await app.scrape()).value('staleness_seconds')).toBeLessThan(60);

    server.kill();
    await shows(app, (s) => expect(stateOf(s)).toEqual(['disconnected']));
    await app.publisher.invalidate('User', 1);
    await shows(app, (scrape) => {
      expect(scrape.value('outbox_size')).toBe(1);
      expect(scrape.value('queued_total')).toBe(1);
      expect(scrape.value('reconnects_total')).toBe(0);
    });

    await server.restart();
    await shows(app, (scrape) => {
      expect(stateOf(scrape)).toEqual(['live']);
      expect(scrape.value('outbox_size')).toBe(0);
      expect(scrape.value('published_total')).toBe(1);
      expect(scrape.value('reconnects_total')).toBe(1);
      // The journal was lost with the server that kept it in memory.
      expect(scrape.value('widened_total', { cause: 'missed' })).toBe(1);
      expect(scrape.value('widened_total', { cause: 'stale' })).toBe(0);
    });
    await app.close();
    await server.stop();
  });

  it('counts replayed messages', async () => {
    const app = await startMetered();
    const hand = new Hand({ url: inject('redisUrl') }, app.channel);
    await hand.say('before');
    await shows(app, (s) => expect(s.value('received_total')).toBe(1));
    await hand.mumble('lost', 'lost too');
    await hand.say('next');
    await shows(app, (scrape) => {
      expect(scrape.value('replayed_total')).toBe(3);
      expect(scrape.value('delivered_total')).toBe(4);
    });
  });

  it('has the metrics of each near cache, by its name', async () => {
    const app = await startMetered();
    const caches = app.context.get(NearCacheFactory);
    const users = caches.create<string>('User');
    caches.create('Post', {}, 'Posts.find');
    for (const id of ['1', '1', '2']) await users.get(id, () => id);
    const scrape = await app.scrape();
    const of = (name: string, cache = 'User'): number =>
      scrape.value(`near_cache_${name}`, { cache });
    expect(of('hits_total')).toBe(1);
    expect(of('misses_total')).toBe(2);
    expect(of('loads_total')).toBe(2);
    expect(of('entries')).toBe(2);
    expect(of('l2_hits_total')).toBe(0);
    expect(of('misses_total', 'Posts.find')).toBe(0);
  });

  it('shows the state stopped when the module is disabled', async () => {
    const app = await startMetered({ enabled: false });
    await app.publisher.invalidate('User', 1);
    const scrape = await app.scrape();
    expect(stateOf(scrape)).toEqual(['stopped']);
    expect(scrape.value('staleness_seconds')).toBe(Infinity);
    expect(scrape.value('published_total')).toBe(0);
  });

  it('is not reset with the statistics', async () => {
    const app = await startMetered();
    await app.publisher.invalidate('User', 1);
    app.stats.reset();
    const scrape = await app.scrape();
    expect(scrape.value('published_total')).toBe(1);
    expect(scrape.value('publish_latency_seconds_count')).toBe(1);
  });
});
