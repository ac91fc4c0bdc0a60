/**
 * The two sides of every comparison: an application with the module, and raw
 * ioredis doing the same work.
 */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import {
  CacheInvalidationModule,
  InvalidationPublisher,
  InvalidationSubscriber,
} from 'nestjs-cache-invalidation';
import { CacheInvalidationPrometheusModule } from 'nestjs-cache-invalidation/prometheus';
import { Registry } from 'prom-client';

/** A channel for each contestant, so that none pays for messages of another. */
export const RAW_CHANNEL = 'bench:raw';

/** Options of the module, by contestant. */
const MODULES = {
  module: { channel: 'bench:journaled', journal: { maxLength: 60_000 } },
  bare: { channel: 'bench:bare', journal: false },
  elsewhere: { channel: 'bench:elsewhere', journal: { maxLength: 60_000 } },
  // Also scraped by Prometheus.
  metered: { channel: 'bench:metered', journal: { maxLength: 60_000 } },
  // Receives messages of raw ioredis, as from a service in another language.
  foreign: { channel: RAW_CHANNEL },
  us: { channel: 'bench:regions', regions: { local: 'us', sources: {} } },
  eu: {
    channel: 'bench:regions',
    regions: { local: 'eu', sources: { us: {} } },
  },
  postgres: { channel: 'bench:postgres', journal: { maxLength: 60_000 } },
  sample: { channel: 'sample-app:cache:invalidate' },
};

const SCRAPE_EVERY_MS = 1_000;

/**
 * A message as users of raw ioredis would write it: the same fields, the same
 * length.
 */
export function rawMessage(id) {
  return {
    message_id: '3497a5ba-f0f9-449b-a722-4780af419938',
    entity_type: 'User',
    entity_id: id,
    pattern: null,
    entity_ids: null,
    action: 'Delete',
    timestamp: new Date().toISOString(),
    source_service: 'bench',
    metadata: null,
  };
}

export async function startApp(
  url,
  kind = 'module',
  providers = [],
  imports = [],
) {
  const registry = new Registry();
  class AppModule {}
  Module({
    imports: [
      ...(kind === 'metered'
        ? [CacheInvalidationPrometheusModule.forRoot({ registry })]
        : []),
      CacheInvalidationModule.forRoot({
        connection: url,
        serviceName: 'bench',
        // A busy machine must not move messages to the outbox.
        publishTimeout: 10_000,
        ...MODULES[kind],
      }),
      ...imports,
    ],
    providers,
  })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: ['error', 'warn'],
  });
  const scraping =
    kind === 'metered'
      ? setInterval(() => void registry.metrics(), SCRAPE_EVERY_MS)
      : null;
  return {
    app,
    registry,
    publisher: app.get(InvalidationPublisher),
    subscriber: app.get(InvalidationSubscriber),
    close: () => {
      clearInterval(scraping);
      return app.close();
    },
  };
}

/**
 * Publishers: the module with and without its journal, and raw ioredis, which
 * receives its own echo as every application does.
 */
export async function startPublishers(url) {
  const app = await startApp(url);
  const bare = await startApp(url, 'bare');
  const [raw, subscriber] = [await startRaw(url), await startRaw(url)];
  await subscriber.subscribe(RAW_CHANNEL);
  subscriber.on('message', () => undefined);
  return {
    app,
    bare,
    raw,
    async close() {
      raw.disconnect();
      subscriber.disconnect();
      await bare.close();
      await app.close();
    },
  };
}

export async function startRaw(url) {
  const redis = new Redis(url, { lazyConnect: true });
  await redis.connect();
  return redis;
}
