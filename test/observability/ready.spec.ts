import { InvalidationHealth } from 'nestjs-cache-invalidation';
import { expect, it } from 'vitest';
import { startApp } from '../support/app.js';
import { startRedis } from '../support/redis.js';

it('InvalidationHealth.ready() accepts any timeout, Infinity included', async () => {
  const server = await startRedis();
  const connection = server.url;
  await server.stop();
  const { context, close } = await startApp({ connection, startupTimeout: 1 });
  const health = context.get(InvalidationHealth);
  const ends: string[] = [];
  const waiting = health
    .ready({ timeout: Infinity })
    .then(() => ends.push('ready'));
  await health.ready({ timeout: 20 }).then(() => ends.push('20 ms'));
  await close();
  await waiting;
  expect(ends).toEqual(['20 ms', 'ready']);
});
