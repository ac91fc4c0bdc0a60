import { InvalidationTimeoutError } from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PublishQueue } from '../../lib/publisher/index.js';
import { RedisTransport } from '../../lib/transport/index.js';
import { startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import {
  becomes,
  hears,
  NO_HEARTBEAT,
  numbers,
  patient,
  startLinks,
  startOnLinks,
  summary,
  timesLive,
  users,
} from './setup.js';
import { startServer } from '../support/redis-server.js';

/** Short intervals that a busy machine can still keep. */
const QUICK = { heartbeatInterval: 100, heartbeatTimeout: 700 };

async function startListening() {
  const started = await startOnLinks(QUICK);
  await started.hand.say('before');
  await hears(started.app, ['User:before']);
  return started;
}

/** Waits until a link has swallowed data. */
const swallows = (link: { readonly swallowed: number }): Promise<void> =>
  eventually(() => expect(link.swallowed).toBeGreaterThan(0), patient);

describe('Heartbeat', () => {
  it('replays the last message when it was lost', async () => {
    const { app, hand } = await startListening();

    await hand.mumble('lost');

    await hears(app, users('before', 'lost'));
    expect(app.stats.snapshot()).toMatchObject({ widened: 0, replayed: 1 });
  });

  it('widens once when the journal was deleted', async () => {
    const { app, hand } = await startListening();

    await hand.redis.del(hand.journal);

    await hears(app, ['User:before', 'missed']);
    await hand.mumble('lost');
    await hears(app, ['User:before', 'missed', 'User:lost']);
    expect(app.stats.snapshot().widened).toBe(1);
  });

  it('widens once when the end of the journal was lost', async () => {
    const { app, hand } = await startListening();
    const last = await hand.say('rolled back');
    await hears(app, users('before', 'rolled back'));

    await hand.redis.xdel(hand.journal, last);

    await hears(app, [...users('before', 'rolled back'), 'missed']);
    await hand.say('on');
    await hears(app, [...users('before', 'rolled back'), 'missed', 'User:on']);
    expect(app.stats.snapshot().widened).toBe(1);
  });

  // In a cluster, both connections may outlive a failover of the master.
  it.each([
    ['at once', []],
    ['although the first reading fails', [new Error('LOADING')]],
  ])(
    'publishes "everything" when own messages were lost from the journal: %s',
    async (_, failures) => {
      const { app, hand, server } = await startListening();
      const reader = await startApp({
        connection: server.url,
        channel: app.channel,
        ...NO_HEARTBEAT,
      });
      const { offset } = await app.publisher.invalidateUser('own');
      await hears(reader, ['User:own']);
      await app.subscriber.caughtUp(offset!);
      const read = vi.spyOn(RedisTransport.prototype, 'readJournal');
      onTestFinished(() => read.mockRestore());
      for (const failure of failures) read.mockRejectedValueOnce(failure);

      await hand.redis.xdel(hand.journal, offset!);

      await eventually(
        () =>
          expect(summary(app).slice(2)).toEqual(
            expect.arrayContaining(['missed', '*']),
          ),
        patient,
      );
      // The instance was subscribed, and notices itself that messages are missing.
      await hears(reader, ['User:own', 'missed']);
      // Later heartbeats succeed again.
      const before = app.subscriber.staleness();
      await eventually(() =>
        expect(app.subscriber.staleness()).toBeLessThan(before + 1),
      );
      expect(summary(app).filter((one) => one === '*')).toHaveLength(1);
    },
  );

  it('finds a lost own message although another was published since', async () => {
    const { app, hand } = await startListening();
    const { offset } = await app.publisher.invalidateUser('own');
    await app.subscriber.caughtUp(offset!);

    await hand.redis.xdel(hand.journal, offset!);
    await app.publisher.invalidateUser('since');

    await eventually(() => expect(summary(app)).toContain('*'), patient);
  });

  it('delivers and reports nothing while nothing is missing', async () => {
    const { app, hand } = await startListening();
    const ping = vi.spyOn(RedisTransport.prototype, 'ping');
    onTestFinished(() => ping.mockRestore());

    await eventually(() => expect(ping.mock.calls.length).toBeGreaterThan(5));
    await hand.say('after');

    await hears(app, users('before', 'after'));
    expect(app.errors).toEqual([]);
    expect(app.states).toEqual(['stopped', 'connecting', 'live']);
  });

  it('does not crash the process when own messages cannot be looked up in the journal', async () => {
    const { app } = await startListening();
    await app.publisher.invalidateUser('own');
    const read = vi
      .spyOn(RedisTransport.prototype, 'readJournal')
      .mockRejectedValue(new Error('Stream is not writeable'));
    onTestFinished(() => read.mockRestore());
    // The state after an echo that was lost inside a cluster.
    const last = vi
      .spyOn(
        app.context.get(PublishQueue, { strict: false }),
        'lastOffset',
        'get',
      )
      .mockReturnValue('99999999999999-0');
    onTestFinished(() => last.mockRestore());

    await eventually(() => expect(read.mock.calls.length).toBeGreaterThan(2));

    expect(app.subscriber.status.state).toBe('live');
  });
});

describe('Heartbeat: a half-open connection', () => {
  it.each(['both ways', 'up', 'down'] as const)(
    'replaces a half-open subscription connection (%s), and replays what was missed',
    async (direction) => {
      const { app, hand, links } = await startListening();

      links.subscription.swallow(
        direction === 'both ways' ? undefined : direction,
      );
      await hand.say(1, 2, 3);
      await swallows(links.subscription);
      // Links that swallowed data stay dead; new links work.
      links.subscription.pass();

      await hears(app, users('before', 1, 2, 3));
      await eventually(
        () => expect(timesLive(app)).toBeGreaterThan(1),
        patient,
      );
      expect(app.states).toContain('disconnected');
      expect(
        app.errors.some((e) => e instanceof InvalidationTimeoutError),
      ).toBe(true);
      expect(app.stats.snapshot().widened).toBe(0);
    },
  );

  it('replaces a half-open commands connection, and keeps the subscription', async () => {
    const { app, hand, links } = await startListening();

    links.commands.swallow();
    await swallows(links.commands);
    await hand.say('meanwhile');
    await hears(app, users('before', 'meanwhile'));
    links.commands.pass();

    await eventually(async () => {
      expect(await app.publisher.invalidateUser('own')).toMatchObject({
        status: 'delivered',
      });
    }, patient);
    expect(app.states).not.toContain('disconnected');
    expect(app.stats.snapshot()).toMatchObject({ widened: 0, replayed: 0 });
  });

  it('replaces both connections, and replays what was missed', async () => {
    const { app, hand, links } = await startListening();

    links.commands.swallow();
    links.subscription.swallow();
    await swallows(links.commands);
    await hand.say(1, 2, 3);
    await swallows(links.subscription);
    links.commands.pass();
    links.subscription.pass();

    await hears(app, users('before', 1, 2, 3));
    expect(app.stats.snapshot().widened).toBe(0);
  });

  it('retries until the network is restored', async () => {
    const { app, hand, links } = await startListening();

    links.commands.swallow();
    // New connections hang as well.
    await eventually(
      () => expect(links.commands.swallowed).toBeGreaterThan(4),
      patient,
    );
    links.commands.pass();
    await hand.mumble('lost');

    await hears(app, users('before', 'lost'));
  });
});

describe('Heartbeat: commands that hang while a message is missing', () => {
  it('delivers one widened message after heartbeatTimeout, then live messages', async () => {
    const { app, hand, links } = await startListening();

    links.commands.swallow('down');
    await hand.mumble('lost');
    await hand.say('held');
    await hears(app, ['User:before', 'missed']);
    await hand.say('flows');
    await hears(app, ['User:before', 'missed', 'User:flows']);
    expect(app.subscriber.status).toMatchObject({
      state: 'live',
      reason: expect.stringContaining('could not be read'),
    });

    // After healing it takes a new position; messages until then may be widened.
    links.commands.pass();
    await eventually(
      () => expect(app.subscriber.status.reason).toBeNull(),
      patient,
    );
    await hand.mumble('lost again');
    await eventually(
      () => expect(summary(app).at(-1)).toBe('User:lost again'),
      patient,
    );
    expect(app.stats.snapshot().widened).toBeLessThanOrEqual(2);
  });
});

describe('Heartbeat: a slow network', () => {
  it('does not interrupt a slow connect', async () => {
    const server = await startServer();
    const links = await startLinks(server);
    links.commands.delay(150);

    const app = await startApp({
      connection: links.connection,
      startupTimeout: 100_000,
      heartbeatInterval: 40,
      heartbeatTimeout: 3_000,
    });

    expect(app.subscriber.status).toMatchObject({ state: 'live' });
  });

  it('does not reconnect or widen when replies are slow but in time', async () => {
    const { app, hand, links } = await startListening();
    links.commands.delay(100);
    links.subscription.delay(100);
    const ids = numbers(50);

    for (const id of ids) await hand.say(id);

    await hears(app, users('before', ...ids));
    await becomes(app, 'live');
    expect(app.states).not.toContain('disconnected');
    expect(app.stats.snapshot().widened).toBe(0);
  });
});
