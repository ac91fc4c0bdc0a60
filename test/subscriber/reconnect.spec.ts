import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import { InvalidatesCache } from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  connectRaw,
  LogRecorder,
  said,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer } from '../support/redis.js';
import {
  describeOnRedisServer,
  itOnRedisServer,
  startServer,
} from '../support/redis-server.js';

/** A time that exceeds the timeout of every test. */
const FOREVER = 100_000;
const patient = { timeout: 15_000 };

@Injectable()
class UsersService {
  @InvalidatesCache('User', (id: string) => id)
  async rename(id: string): Promise<string> {
    return `renamed ${id}`;
  }
}

/** Reserves a port without a server. */
async function startAbsentServer(): Promise<RedisServer> {
  const server = await startServer();
  server.kill();
  await eventually(async () => {
    const client = new Redis(server.url, {
      lazyConnect: true,
      retryStrategy: () => null,
    });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toThrow('closed');
  });
  return server;
}

const state = (app: TestApp): string => app.subscriber.status.state;

const becomes = (app: TestApp, expected: string): Promise<void> =>
  eventually(() => expect(state(app)).toBe(expected), patient);

async function journalOf(
  { url }: RedisServer,
  channel: string,
): Promise<string[]> {
  const key = `{${channel}}:journal`;
  const entries = await connectRaw(url).xrange(key, '-', '+');
  return entries.map(([, [, payload = '']]) => payload);
}

/** A message of a service without a journal. */
const foreign = (id: string, fields: object): string =>
  JSON.stringify({
    message_id: randomUUID(),
    entity_type: 'User',
    entity_id: id,
    action: 'Delete',
    timestamp: new Date().toISOString(),
    source_service: 'foreign-service',
    ...fields,
  });

const summary = (app: TestApp): string[] =>
  app.messages.map((message) => message.widened ?? said(message));

/** Closes the connections of all subscribers of this server. */
const killSubscriptions = (url: string): Promise<unknown> =>
  connectRaw(url).call('CLIENT', 'KILL', 'TYPE', 'pubsub');

describe('Reconnect: a lost subscription', () => {
  it('is restored without a widened message', async () => {
    const server = await startServer();
    const connection = server.url;
    const log = new LogRecorder();
    const writer = await startApp({ connection });
    const reader = await startApp({
      connection,
      channel: writer.channel,
      logger: log,
    });
    await writer.publisher.invalidateUser('before');
    await eventually(() => expect(summary(reader)).toEqual(['User:before']));

    await killSubscriptions(server.url);

    await eventually(() => {
      for (const app of [writer, reader]) {
        expect(app.states.slice(-4)).toEqual([
          'live',
          'disconnected',
          'catching-up',
          'live',
        ]);
      }
    });
    await writer.publisher.invalidateUser('after');
    await eventually(() =>
      expect(summary(reader)).toEqual(['User:before', 'User:after']),
    );
    expect(reader.stats.snapshot()).toMatchObject({
      widened: 0,
      received: 2,
      replayed: 0,
    });
    expect(log.warnings.join()).toContain('Disconnected from channel');
  });

  it('is restored each time without a widened message', async () => {
    const server = await startServer();
    const app = await startApp({ connection: server.url });
    await app.publisher.invalidateUser('before');

    for (let times = 1; times <= 3; times++) {
      await killSubscriptions(server.url);
      await eventually(() =>
        expect(app.states.filter((one) => one === 'live')).toHaveLength(
          times + 1,
        ),
      );
    }

    expect(summary(app)).toEqual(['User:before']);
  });

  it('widens once when the journal is empty', async () => {
    const server = await startServer();
    const app = await startApp({ connection: server.url });

    await killSubscriptions(server.url);

    await eventually(() =>
      expect(app.states.filter((one) => one === 'live')).toHaveLength(2),
    );
    expect(summary(app)).toEqual(['missed']);
    expect(app.messages[0]).toMatchObject({ action: 'Pattern', pattern: '*' });
  });

  it('widens once per reconnect without a journal', async () => {
    const server = await startServer();
    const connection = server.url;
    const writer = await startApp({ connection, journal: false });
    const reader = await startApp({
      connection,
      channel: writer.channel,
      journal: false,
    });
    await writer.publisher.invalidateUser('before');
    await eventually(() => expect(summary(reader)).toEqual(['User:before']));

    for (let times = 1; times <= 2; times++) {
      await killSubscriptions(server.url);
      await eventually(() => {
        for (const app of [writer, reader]) {
          expect(app.states.filter((one) => one === 'live')).toHaveLength(
            times + 1,
          );
        }
      });
    }
    await writer.publisher.invalidateUser('after');

    await eventually(() =>
      expect(summary(reader)).toEqual([
        'User:before',
        'reconnected',
        'reconnected',
        'User:after',
      ]),
    );
    expect(reader.states).not.toContain('catching-up');
    expect(reader.stats.snapshot()).toMatchObject({ widened: 2, replayed: 0 });
  });

  it.each([
    ['in another language', {}],
    ['with an invalid offset', { offset: 'partition 3' }],
  ])(
    'widens once per reconnect when a service without a journal publishes %s',
    async (_, fields) => {
      const server = await startServer();
      const app = await startApp({ connection: server.url });
      const foreigner = connectRaw(server.url);
      await app.publisher.invalidateUser('before');
      await foreigner.publish(app.channel, foreign('heard', fields));
      await eventually(() =>
        expect(summary(app)).toEqual(['User:before', 'User:heard']),
      );

      await foreigner.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await eventually(() =>
        expect(app.states.filter((one) => one === 'live')).toHaveLength(2),
      );

      expect(summary(app)).toEqual([
        'User:before',
        'User:heard',
        'reconnected',
      ]);
    },
  );
});

describe('Reconnect: a lost commands connection', () => {
  it('delays messages in flight until it is back, and keeps the subscription', async () => {
    const server = await startServer();
    const app = await startApp({ connection: server.url });
    const reader = await startApp({
      connection: server.url,
      channel: app.channel,
    });
    await app.publisher.invalidateUser('before');

    // Redis may or may not have taken the messages that were under way.
    const killed = connectRaw(server.url).call(
      ...(['CLIENT', 'KILL', 'TYPE', 'normal'] as const),
    );
    const ids = ['1', '2', '3'];
    await Promise.all(ids.map((id) => app.publisher.invalidateUser(id)));
    await killed;

    // A time far below the last resort of RedisTransport, 10 seconds.
    await eventually(() => expect(app.publisher.pending).toBe(0));
    await eventually(() =>
      expect(new Set(summary(reader))).toEqual(
        new Set(['User:before', 'User:1', 'User:2', 'User:3']),
      ),
    );
    expect(app.states).not.toContain('disconnected');
  });

  describeOnRedisServer('on a server that hangs', () => {
    it.each([
      ['its own', (url: string) => url],
      [
        "the application's",
        (url: string) => {
          const client = new Redis(url);
          onTestFinished(() => client.disconnect());
          return client.on('error', () => undefined);
        },
      ],
    ])(
      'publishes again soon after the restart, with %s client',
      async (_, connection) => {
        const server = await startServer();
        const app = await startApp({
          connection: connection(server.url),
          publishTimeout: 50,
        });

        server.pause();
        await app.publisher.invalidateUser('under way');
        await app.publisher.invalidateUser('waiting');
        await server.restart();
        await becomes(app, 'live');

        // A time far below the last resort of RedisTransport, 10 seconds.
        await eventually(() => expect(app.publisher.pending).toBe(0));
        expect(await app.publisher.invalidateUser('2')).toMatchObject({
          status: 'delivered',
        });
      },
    );
  });
});

describe('Reconnect: a server that is restarted', () => {
  it('delivers one widened message when the server comes back empty', async () => {
    const server = await startServer();
    const connection = server.url;
    const app = await startApp({ connection });
    const other = await startApp({ connection, channel: app.channel });
    await other.publisher.invalidateUser('before');
    await eventually(() => expect(summary(app)).toEqual(['User:before']));

    server.kill();
    await becomes(app, 'disconnected');
    await becomes(other, 'disconnected');
    await server.restart();
    await becomes(app, 'live');
    await becomes(other, 'live');

    // A publisher whose messages were lost with the journal publishes
    // "everything" ("*").
    await eventually(() => expect(summary(other)).toContain('*'));
    await other.publisher.invalidateUser('after');
    await eventually(() =>
      expect(summary(app).filter((each) => each !== '*')).toEqual([
        'User:before',
        'missed',
        'User:after',
      ]),
    );
    expect(app.states).toEqual([
      'stopped',
      'connecting',
      'live',
      'disconnected',
      'catching-up',
      'live',
    ]);
  });

  it('decorated methods do not wait, and their messages are sent afterwards in order', async () => {
    const server = await startServer();
    const connection = server.url;
    const writer = await startApp({
      connection,
      publishTimeout: FOREVER,
      providers: [UsersService],
    });
    const reader = await startApp({ connection, channel: writer.channel });
    const users = writer.context.get(UsersService);
    await users.rename('before');
    await eventually(() => expect(summary(reader)).toEqual(['User:before']));
    server.kill();
    await becomes(writer, 'disconnected');
    await becomes(reader, 'disconnected');

    // The first message may be on the wire when the connection breaks; none waits.
    const ids = Array.from({ length: 100 }, (_, i) => String(i));
    for (const id of ids) {
      expect(await users.rename(id)).toBe(`renamed ${id}`);
    }
    expect(writer.publisher.pending).toBe(100);
    expect(summary(writer).slice(1)).toEqual(ids.map((id) => `User:${id}`));

    await server.restart();
    await eventually(() => expect(writer.publisher.pending).toBe(0), patient);
    await becomes(reader, 'live');

    // The widened message covers all messages from before the journal was read.
    await eventually(() => expect(summary(reader)[1]).toBe('missed'));
    // The publisher of "before", which was lost with the old journal, publishes
    // "everything".
    await eventually(() => expect(summary(writer)).toContain('*'));
    await writer.publisher.invalidateUser('after');
    await eventually(() => expect(summary(reader).at(-1)).toBe('User:after'));
    const [, missed, ...heard] = summary(reader)
      .filter((each) => each !== '*')
      .slice(0, -1);
    expect(missed).toBe('missed');
    expect(heard).toEqual(
      ids.slice(100 - heard.length).map((id) => `User:${id}`),
    );
    expect(writer.stats.snapshot()).toMatchObject({
      queued: 100,
      published: 103,
    });
  });

  it('appends the queued messages to the journal in order', async () => {
    const server = await startServer();
    const writer = await startApp({ connection: server.url });
    server.kill();
    await becomes(writer, 'disconnected');
    await writer.publisher.invalidateUser('1');
    await writer.publisher.invalidateBatch(['user:2', 'post:3']);
    await writer.publisher.invalidatePattern('feed:*');

    await server.restart();
    await eventually(() => expect(writer.publisher.pending).toBe(0), patient);

    const journaled = await journalOf(server, writer.channel);
    expect(
      journaled.map((payload) => {
        const { entity_id: id, entity_ids: ids, pattern } = JSON.parse(payload);
        return id ?? pattern ?? ids.join();
      }),
    ).toEqual(['1', 'user:2,post:3', 'feed:*']);
  });

  it('collapses queued messages beyond outboxLimit, and loses none', async () => {
    const server = await startServer();
    const connection = server.url;
    const channel = uniqueChannel();
    const writer = await startApp({ connection, channel, outboxLimit: 10 });
    server.kill();
    await becomes(writer, 'disconnected');

    for (let i = 0; i < 100; i++) await writer.publisher.invalidateUser(i);
    await writer.publisher.invalidate('session', 'a');
    expect(writer.publisher.pending).toBeLessThanOrEqual(10);

    await server.restart();
    await eventually(() => expect(writer.publisher.pending).toBe(0), patient);

    const journaled = (await journalOf(server, channel)).join();
    expect(journaled).toContain('"user:*"');
    expect(journaled).toMatch(/"session"|"session:\*"/);
    expect(writer.stats.snapshot().widened).toBeGreaterThanOrEqual(1);
  });
});

describe('Reconnect: a server that is not available at startup', () => {
  it('does not block the start; the application goes live later, and widens once', async () => {
    const server = await startAbsentServer();
    const log = new LogRecorder();

    const app = await startApp({
      connection: server.url,
      startupTimeout: 100,
      publishTimeout: FOREVER,
      logger: log,
    });

    expect(state(app)).toBe('connecting');
    expect(log.warnings.join()).toContain('has not answered within 100 ms');
    expect(await app.publisher.invalidateUser('early')).toMatchObject({
      status: 'queued',
    });

    await server.restart();
    await becomes(app, 'live');
    await eventually(() => expect(app.publisher.pending).toBe(0), patient);
    await app.publisher.invalidateUser('late');

    expect(summary(app)).toEqual(['User:early', 'started-late', 'User:late']);
    expect(app.states).not.toContain('disconnected');
    expect(app.stats.snapshot()).toMatchObject({ widened: 1 });
  });

  it('widens nothing when the server is available within startupTimeout', async () => {
    const server = await startAbsentServer();

    const starting = startApp({
      connection: server.url,
      startupTimeout: 20_000,
    });
    await server.restart();
    const app = await starting;

    expect(state(app)).toBe('live');
    expect(summary(app)).toEqual([]);
  });

  it('waits until the commands connection is ready, too', async () => {
    // The subscription connects at once, the connection for commands late.
    const server = await startServer();
    const client = new Redis(server.url, { lazyConnect: true });
    onTestFinished(() => client.disconnect());
    const connect = client.connect.bind(client);
    const channel = uniqueChannel();
    client.connect = async () => {
      const raw = connectRaw(server.url);
      await eventually(async () =>
        expect(await raw.publish(channel, 'anybody?')).toBe(1),
      );
      await connect();
    };

    const app = await startApp({ connection: client, channel });

    expect(await app.publisher.invalidateUser('1')).toMatchObject({
      status: 'delivered',
    });
  });
});

describeOnRedisServer('Reconnect: a server that hangs', () => {
  it('delays only the first receipts by publishTimeout, and sends all messages once it resumes', async () => {
    const server = await startServer();
    const connection = server.url;
    const publishTimeout = 1_000;
    const writer = await startApp({
      connection,
      publishTimeout,
      providers: [UsersService],
    });
    const reader = await startApp({ connection, channel: writer.channel });
    const users = writer.context.get(UsersService);
    const ids = Array.from({ length: 200 }, (_, i) => String(i));

    server.pause();
    onTestFinished(() => server.resume());
    const begun = performance.now();
    await Promise.all(ids.slice(0, 3).map((id) => users.rename(id)));
    const waited = performance.now() - begun;
    for (const id of ids.slice(3)) await users.rename(id);
    const waitedLater = performance.now() - begun - waited;

    expect(waited).toBeGreaterThan(publishTimeout * 0.95);
    expect(waitedLater).toBeLessThan(publishTimeout);
    expect(writer.publisher.pending).toBe(200);
    expect(summary(writer)).toEqual(ids.map((id) => `User:${id}`));

    server.resume();
    await eventually(() =>
      expect(summary(reader)).toEqual(ids.map((id) => `User:${id}`)),
    );
    await eventually(() => expect(writer.publisher.pending).toBe(0));
    expect(await writer.publisher.invalidateUser('on')).toMatchObject({
      status: 'delivered',
    });
  });
});

describe('Shutdown', () => {
  it('is bounded while Redis is away, and reports the lost messages', async () => {
    const server = await startServer();
    const log = new LogRecorder();
    const app = await startApp({
      connection: server.url,
      shutdownTimeout: 100,
      logger: log,
    });
    server.kill();
    await becomes(app, 'disconnected');
    await app.publisher.invalidateUser('1');
    await app.publisher.invalidateUser('2');

    await app.close();

    expect(log.errors.join('\n')).toContain(
      '2 invalidations could not be sent within 100 ms',
    );
    expect(app.states.at(-1)).toBe('stopped');
  });

  it('is immediate when nothing is queued, with Redis or without', async () => {
    const server = await startServer();
    const app = await startApp({
      connection: server.url,
      shutdownTimeout: FOREVER,
    });
    server.kill();
    await becomes(app, 'disconnected');
    await app.close();
    expect(app.states.at(-1)).toBe('stopped');
  });

  it('is bounded when Redis was never available', async () => {
    const app = await startApp({
      connection: (await startAbsentServer()).url,
      startupTimeout: 50,
      shutdownTimeout: FOREVER,
    });
    await app.close();
    expect(app.states).toEqual(['stopped', 'connecting', 'stopped']);
  });

  itOnRedisServer('is bounded while Redis hangs', async () => {
    const server = await startServer();
    const log = new LogRecorder();
    const app = await startApp({
      connection: server.url,
      publishTimeout: 50,
      shutdownTimeout: 100,
      logger: log,
    });
    server.pause();
    onTestFinished(() => server.resume());
    await app.publisher.invalidateUser('1');
    await app.publisher.invalidateUser('2');

    await app.close();

    expect(log.errors.join('\n')).toContain(
      '2 invalidations could not be sent',
    );
  });

  it('sends queued messages if Redis comes back in time', async () => {
    const server = await startServer();
    const log = new LogRecorder();
    const app = await startApp({
      connection: server.url,
      shutdownTimeout: 20_000,
      logger: log,
    });
    server.kill();
    await becomes(app, 'disconnected');
    await app.publisher.invalidateUser('1');

    const closing = app.close();
    await server.restart();
    await closing;

    expect(app.publisher.pending).toBe(0);
    expect(app.stats.snapshot()).toMatchObject({ published: 1 });
    expect(log.errors.join('\n')).not.toContain('could not be sent');
  });
});
