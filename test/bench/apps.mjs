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

export const CHANNEL = 'bench:invalidate';

/** A message as raw ioredis users would write it: the same fields, as long. */
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

export async function startApp(url, providers = []) {
  class AppModule {}
  Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: url,
        channel: CHANNEL,
        serviceName: 'bench',
      }),
    ],
    providers,
  })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: ['error', 'warn'],
  });
  return {
    app,
    publisher: app.get(InvalidationPublisher),
    subscriber: app.get(InvalidationSubscriber),
    close: () => app.close(),
  };
}

export async function startRaw(url) {
  const redis = new Redis(url, { lazyConnect: true });
  await redis.connect();
  return redis;
}
