import { describe, expect, it, onTestFinished } from 'vitest';
import { LogRecorder, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  becomes,
  hears,
  patient,
  startOnLinks,
  summary,
  users,
} from './setup.js';

const QUICK = { heartbeatInterval: 50, heartbeatTimeout: 500 };
const BOUND = 1_000;

describe('InvalidationSubscriber.staleness()', () => {
  it('is infinite before the first proof, and again after the shutdown', async () => {
    const app = await startApp({
      connection: 'redis://127.0.0.1:1',
      startupTimeout: 10,
    });
    expect(app.subscriber.staleness()).toBe(Infinity);

    const live = await startApp();
    expect(live.subscriber.staleness()).toBeLessThan(patient.timeout);
    await live.close();
    expect(live.subscriber.staleness()).toBe(Infinity);
  });

  it.each([
    ['with a journal', {}],
    ['without one', { journal: false } as const],
  ])('is reset by heartbeats, %s', async (_, options) => {
    const { app } = await startOnLinks({ ...QUICK, ...options });

    let before = app.subscriber.staleness();
    for (let times = 0; times < 3; times++) {
      // Staleness grows by itself; only a proof makes it smaller.
      await eventually(() => {
        const now = app.subscriber.staleness();
        const fell = now < before;
        before = now;
        expect(fell).toBe(true);
      });
    }
    expect(app.errors).toEqual([]);
  });

  it.each(['commands', 'subscription'] as const)(
    'grows while the %s connection is cut, until it is back',
    async (link) => {
      const { app, links } = await startOnLinks(QUICK);

      links[link].swallow();
      await eventually(
        () => expect(app.subscriber.staleness()).toBeGreaterThan(1_000),
        patient,
      );
      links[link].pass();

      await eventually(
        () => expect(app.subscriber.staleness()).toBeLessThan(500),
        patient,
      );
    },
  );
});

describeOnRedisServer('option maxStaleness', () => {
  it('with "widen": evicts everything once, and bypasses caches until the next proof', async () => {
    const log = new LogRecorder();
    const { app, hand, server } = await startOnLinks({
      ...QUICK,
      maxStaleness: BOUND,
      whenStale: 'widen',
      logger: log,
    });
    await hand.say('before');
    await hears(app, ['User:before']);
    expect(app.subscriber.bypass).toBe(false);

    server.pause();
    await eventually(() => expect(app.subscriber.bypass).toBe(true), patient);
    expect(app.subscriber.staleness()).toBeGreaterThanOrEqual(BOUND);
    // One message, however long the outage takes.
    await eventually(
      () => expect(app.subscriber.staleness()).toBeGreaterThan(2.5 * BOUND),
      patient,
    );
    expect(summary(app)).toEqual(['User:before', 'stale']);
    expect(log.warnings.join()).toContain('caches should be bypassed');
    server.resume();

    await eventually(() => expect(app.subscriber.bypass).toBe(false), patient);
    expect(app.subscriber.staleness()).toBeLessThan(BOUND);
    await hand.mumble('after');
    await hears(app, ['User:before', 'stale', 'User:after']);

    // One more message in the next outage.
    server.pause();
    await eventually(() => expect(app.subscriber.bypass).toBe(true), patient);
    // The clock checks the bound; the message follows by a timer.
    await eventually(() =>
      expect(summary(app).slice(2)).toEqual(['User:after', 'stale']),
    );
  });

  it('bypasses caches at the first read after the event loop was blocked, before any timer', async () => {
    const { app } = await startOnLinks({
      ...QUICK,
      maxStaleness: BOUND,
      whenStale: 'widen',
    });
    expect(app.subscriber.bypass).toBe(false);

    const thaw = performance.now() + BOUND + 600;
    while (performance.now() < thaw);

    expect(app.subscriber.staleness()).toBeGreaterThan(BOUND);
    expect(app.subscriber.bypass).toBe(true);
    await eventually(() => expect(app.subscriber.bypass).toBe(false), patient);
  });

  it('with "serve": evicts nothing, and logs a warning', async () => {
    const log = new LogRecorder();
    const { app, hand, server } = await startOnLinks({
      ...QUICK,
      maxStaleness: BOUND,
      logger: log,
    });
    await hand.say('before');
    await hears(app, ['User:before']);

    server.pause();
    await eventually(
      () => expect(log.warnings.join()).toContain('served all the same'),
      patient,
    );
    expect(app.subscriber.bypass).toBe(false);
    server.resume();
    await hand.say('after');

    await hears(app, users('before', 'after'));
  });

  it('bypasses the caches of an instance that never connected until it does', async () => {
    const server = await startServer();
    server.pause();
    onTestFinished(() => server.resume());
    const app = await startApp({
      connection: server.url,
      startupTimeout: 50,
      ...QUICK,
      maxStaleness: BOUND,
      whenStale: 'widen',
    });

    await eventually(() => expect(app.subscriber.bypass).toBe(true), patient);
    await eventually(() => expect(summary(app)).toEqual(['stale']), patient);
    server.resume();
    await becomes(app, 'live');

    expect(app.subscriber.bypass).toBe(false);
    expect(summary(app)).toEqual(['stale', 'started-late']);
  });
});
