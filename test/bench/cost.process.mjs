/**
 * The CPU time of one message, by the library of some checkout: `node
 * cost.process.mjs ROOT URL`. Prints JSON, in microseconds.
 */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { rawMessage } from './apps.mjs';
import { inFlight } from './measure.mjs';

const COUNT = 40_000;
const LANES = 256;
const BURST = 500;

const [root, url] = process.argv.slice(2);
const {
  CacheInvalidationModule,
  InvalidationPublisher,
  InvalidationSubscriber,
} = await import(pathToFileURL(join(root, 'dist/lib/index.js')).href);

/** Measured by code that is compiled already. */
const costs = {
  publish: await publishing(),
  receive: await receiving(),
};
process.stdout.write(JSON.stringify(costs));
process.exit(0);

async function startApp(channel) {
  class AppModule {}
  Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: url,
        serviceName: 'bench',
        channel,
        // A busy machine must not move messages to the outbox.
        publishTimeout: 10_000,
      }),
    ],
  })(AppModule);
  return NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
}

/** A publish with its journal, the receipt, and the echo. */
async function publishing() {
  const app = await startApp(`cost:${randomUUID()}`);
  const publisher = app.get(InvalidationPublisher);
  const run = () =>
    inFlight(COUNT, LANES, (at) => publisher.invalidate('User', String(at)));
  await run();
  const cost = await timed(run);
  await app.close();
  return cost;
}

/** A message of another program until a handler has it, ioredis included. */
async function receiving() {
  const channel = `cost:${randomUUID()}`;
  const app = await startApp(channel);
  const redis = new Redis(url);
  const payload = JSON.stringify(rawMessage('1'));
  let received = 0;
  let done = () => undefined;
  app.get(InvalidationSubscriber).subscribe(() => {
    if (++received % COUNT === 0) done();
  });
  const run = async () => {
    const all = new Promise((resolve) => (done = resolve));
    for (let sent = 0; sent < COUNT; sent += BURST) {
      await redis.eval(
        "for i = 1, ARGV[2] do redis.call('PUBLISH', KEYS[1], ARGV[1]) end",
        1,
        channel,
        payload,
        BURST,
      );
    }
    await all;
  };
  await run();
  const cost = await timed(run);
  redis.disconnect();
  await app.close();
  return cost;
}

async function timed(run) {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / COUNT;
}
