import {
  InvalidationHealth,
  type InvalidationHealthReport,
} from 'nestjs-cache-invalidation';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { connectRaw, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import {
  becomes,
  FOREVER,
  Hand,
  NO_HEARTBEAT,
  patient,
  startLinks,
  startOnLinks,
} from '../subscriber/setup.js';

const healthOf = (app: TestApp): InvalidationHealth =>
  app.context.get(InvalidationHealth);

const expectReport = (
  app: TestApp,
  expected: Partial<InvalidationHealthReport>,
): Promise<void> =>
  eventually(
    () => expect(healthOf(app).check()).toMatchObject(expected),
    patient,
  );

/** A Redis that does not answer yet. */
async function swallowing(): Promise<Proxy> {
  const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
  onTestFinished(() => proxy.close());
  proxy.swallow();
  return proxy;
}

/** Short intervals, so that changes of Redis are noticed quickly. */
const QUICK = {
  startupTimeout: 1,
  heartbeatInterval: 50,
  heartbeatTimeout: 200,
};

describe('Health is up', () => {
  it('when all messages are received and sent', async () => {
    const app = await startApp();
    await app.publisher.invalidateUser(1);

    expect(healthOf(app).check()).toEqual({
      status: 'up',
      state: 'live',
      reason: null,
      staleness: expect.any(Number),
      regions: {},
      sources: {},
      lag: 0,
      outbox: 0,
    });
  });

  it('when the module is disabled', async () => {
    const app = await startApp({ enabled: false });

    expect(healthOf(app).check()).toEqual({
      status: 'up',
      state: 'disabled',
      reason: null,
      staleness: null,
      regions: {},
      sources: {},
      lag: 0,
      outbox: 0,
    });
  });

  it('without a journal', async () => {
    const app = await startApp({ journal: false });

    await expectReport(app, { status: 'up', state: 'live' });
    expect(healthOf(app).check().lag).toBe(0);
  });
});

describe('Health is degraded', () => {
  itOnRedisServer('while messages wait for Redis', async () => {
    const server = await startServer({ real: true });
    const app = await startApp({ connection: server.url });
    const raw = connectRaw(server.url);
    await raw.config('SET', 'min-replicas-to-write', '1');

    const { status } = await app.publisher.invalidateUser(1);
    await app.publisher.invalidateUser(2);

    expect(status).toBe('queued');
    await expectReport(app, { status: 'degraded', state: 'live', outbox: 2 });
    await raw.config('SET', 'min-replicas-to-write', '0');
    await expectReport(app, { status: 'up', outbox: 0 });
  });

  it('while missed messages are replayed', async () => {
    const { app, hand, links } = await startOnLinks({
      heartbeatTimeout: FOREVER,
      ...NO_HEARTBEAT,
      shutdownTimeout: 50,
    });
    await hand.say('before');
    await eventually(() => expect(app.messages).toHaveLength(1));
    links.commands.swallow('down');
    await hand.mumble('lost');

    await hand.say('held');

    await expectReport(app, { status: 'degraded', state: 'catching-up' });
    expect(healthOf(app).check().reason).not.toBeNull();
  });

  it('when the last proof is too old', async () => {
    const server = await startServer();
    const links = await startLinks(server);
    const app = await startApp({
      connection: links.connection,
      heartbeatInterval: 20,
      heartbeatTimeout: 50,
      shutdownTimeout: 50,
    });
    await expectReport(app, { status: 'up' });

    links.commands.swallow();

    await expectReport(app, {
      status: 'degraded',
      state: 'live',
      reason: null,
    });
    expect(healthOf(app).check().staleness).toBeGreaterThan(2 * (20 + 50));
    links.commands.pass();
    await expectReport(app, { status: 'up' });
  });

  it('when only publishes get no reply', async () => {
    const server = await startServer();
    const app = await startApp({ connection: server.url, publishTimeout: 50 });
    const admin = connectRaw(server.url);
    await admin.call('CLIENT', 'PAUSE', '60000', 'WRITE');

    const { status } = await app.publisher.invalidateUser(1);

    expect(status).toBe('queued');
    expect(healthOf(app).check()).toMatchObject({
      status: 'degraded',
      state: 'live',
      outbox: 1,
    });
    await admin.call('CLIENT', 'UNPAUSE');
    await expectReport(app, { status: 'up', outbox: 0 });
  });

  it('when the journal cannot be read, with the reason', async () => {
    const server = await startServer();
    const app = await startApp({ connection: server.url, ...NO_HEARTBEAT });
    const hand = new Hand(server, app.channel);
    await hand.say('before');
    await eventually(() => expect(app.messages).toHaveLength(1));

    await hand.whileAllAreAway((multi) => {
      multi.del(hand.journal);
      multi.set(hand.journal, 'no journal');
    });

    await expectReport(app, {
      status: 'degraded',
      state: 'live',
      reason: expect.stringContaining('could not be read') as string,
    });
  });
});

describe('Health is down', () => {
  it('before Redis was reached, without a staleness', async () => {
    const proxy = await swallowing();
    const app = await startApp({ connection: proxy.url, startupTimeout: 1 });

    expect(healthOf(app).check()).toMatchObject({
      status: 'down',
      state: 'connecting',
      staleness: null,
    });
  });

  it('while Redis is away, with the reason; then up again', async () => {
    const proxy = await swallowing();
    proxy.pass();
    const app = await startApp({ connection: proxy.url, ...QUICK });
    await becomes(app, 'live');

    proxy.swallow();
    proxy.cut();

    await expectReport(app, { status: 'down', state: 'disconnected' });
    expect(healthOf(app).check().reason).not.toBeNull();
    proxy.pass();
    await expectReport(app, { status: 'up', reason: null });
  });

  it('after the shutdown', async () => {
    const app = await startApp();
    const health = healthOf(app);

    await app.close();

    expect(health.check()).toMatchObject({ status: 'down', state: 'stopped' });
  });
});

describe('InvalidationHealth.ready()', () => {
  it('resolves once the instance was live, whatever its state afterwards', async () => {
    const app = await startApp();
    const health = healthOf(app);

    expect(await health.ready()).toBe(true);
    await app.close();
    expect(await health.ready()).toBe(true);
  });

  it('resolves immediately when the module is disabled', async () => {
    const app = await startApp({ enabled: false });

    expect(await healthOf(app).ready()).toBe(true);
  });

  it('waits for Redis no longer than its timeout', async () => {
    const proxy = await swallowing();
    const app = await startApp({ connection: proxy.url, ...QUICK });
    const health = healthOf(app);

    expect(await health.ready()).toBe(false);
    expect(await health.ready({ timeout: 0 })).toBe(false);
    expect(await health.ready({ timeout: 20 })).toBe(false);
    const waiting = health.ready({ timeout: FOREVER });
    proxy.pass();

    expect(await waiting).toBe(true);
    expect(await health.ready()).toBe(true);
  });

  it('resolves to false when the application is closed before', async () => {
    const proxy = await swallowing();
    const app = await startApp({
      connection: proxy.url,
      startupTimeout: 1,
      shutdownTimeout: 1,
    });
    const health = healthOf(app);
    const waiting = health.ready({ timeout: FOREVER });

    await app.close();

    expect(await waiting).toBe(false);
    expect(await health.ready({ timeout: FOREVER })).toBe(false);
  });
});
