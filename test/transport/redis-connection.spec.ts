import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisConnection } from 'nestjs-cache-invalidation';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import {
  connectRaw,
  LogRecorder,
  said,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  startCluster,
  startSentinel,
  type RedisCluster,
} from '../support/redis.topologies.js';

const SECRET = 's3cret/&?pass';
/** States of a connection without obstacles. */
const STRAIGHT_TO_LIVE = ['stopped', 'connecting', 'live'];
const slow = { timeout: 25_000 };

function sharedServer(): { host: string; port: number } {
  const { hostname, port } = new URL(inject('redisUrl'));
  return { host: hostname, port: Number(port) };
}

/** Each publishes a message that the other receives. */
async function expectToHearEachOther(a: TestApp, b: TestApp): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { status, messageId } = await from.publisher.invalidateUser('1');
    expect(status).toBe('delivered');
    await eventually(() =>
      expect(to.messages.map((message) => message.messageId)).toContain(
        messageId,
      ),
    );
  }
}

/**
 * Starts two applications with these options, and waits until they receive from
 * each other.
 */
async function startPair(
  connection: RedisConnection,
  url?: string,
): Promise<TestApp> {
  const channel = uniqueChannel();
  const app = await startApp({ connection, channel });
  const other = await startApp({ connection, channel });
  await expectToHearEachOther(app, other);

  // A program that does not know the library's options uses the same channel.
  const raw = connectRaw(url);
  expect(await raw.call('PUBSUB', 'NUMSUB', channel)).toEqual([channel, 2]);
  return app;
}

describe('option connection: a server', () => {
  it('accepts a URL', async () => {
    const app = await startPair(inject('redisUrl'));
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('accepts options', async () => {
    const app = await startPair(sharedServer());
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('ignores options for other uses: keyPrefix, db, stringNumbers', async () => {
    const app = await startPair({
      ...sharedServer(),
      keyPrefix: 'my-app:',
      db: 3,
      stringNumbers: true,
      lazyConnect: false,
      enableOfflineQueue: true,
    });
    const { receivers } = await app.publisher.invalidateUser('1');
    expect(receivers).toBe(2);
  });
});

describeOnRedisServer('option connection: a server with a password', () => {
  it('accepts a URL with any characters in the password', async () => {
    const { port } = await startServer({ args: ['--requirepass', SECRET] });
    const url = `redis://:${encodeURIComponent(SECRET)}@127.0.0.1:${port}`;
    const app = await startPair(url, url);
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('starts with a wrong password, and does not log it', async () => {
    const { port } = await startServer({ args: ['--requirepass', SECRET] });
    const log = new LogRecorder();

    const app = await startApp({
      connection: `redis://:wr0ng-secret@127.0.0.1:${port}`,
      startupTimeout: 200,
      shutdownTimeout: 50,
      logger: log,
    });

    expect(app.subscriber.status.state).toBe('connecting');
    await eventually(() => expect(log.errors.join()).toContain('WRONGPASS'));
    expect(await app.publisher.invalidateUser('1')).toMatchObject({
      status: 'queued',
    });
    expect(log.lines.join('\n')).not.toContain('wr0ng-secret');
    expect(log.lines.join('\n')).not.toContain(SECRET);
  });
});

describe('option connection: a client of the application', () => {
  function makeClient(options: RedisOptions): Redis {
    const client = new Redis(options);
    onTestFinished(() => client.disconnect());
    return client;
  }

  it('copies its options, and leaves it unchanged', async () => {
    const client = makeClient(sharedServer());
    await client.ping();
    const listeners = (): [unknown, number][] =>
      client.eventNames().map((name) => [name, client.listenerCount(name)]);
    const before = { listeners: listeners(), options: { ...client.options } };

    const channel = uniqueChannel();
    const app = await startApp({ connection: client, channel });
    expect(await app.publisher.invalidateUser('1')).toMatchObject({
      status: 'delivered',
      receivers: 1,
    });
    expect(listeners()).toEqual(before.listeners);
    await app.close();

    expect(client.status).toBe('ready');
    expect(await client.ping()).toBe('PONG');
    expect(client.options).toEqual(before.options);
    expect(listeners()).toEqual(before.listeners);
    // The library's subscription is gone.
    await eventually(async () =>
      expect(await client.publish(channel, 'text')).toBe(0),
    );
  });

  it('does not depend on its later state', async () => {
    const client = makeClient(sharedServer());
    await client.select(3);
    const app = await startApp({ connection: client });
    const other = await startApp({ channel: app.channel });
    await client.quit();
    expect(await app.publisher.invalidateUser('1')).toMatchObject({
      status: 'delivered',
      receivers: 2,
    });
    const { offset } = await other.publisher.invalidateUser('2');
    await app.subscriber.caughtUp(offset!);
  });

  it('accepts a lazy client', async () => {
    const client = makeClient({ ...sharedServer(), lazyConnect: true });
    const app = await startPair(client);
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
    expect(client.status).toBe('wait');
  });

  it('accepts a client that is connecting', async () => {
    const client = makeClient(sharedServer());
    expect(client.status).toBe('connecting');
    const app = await startPair(client);
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('accepts a client with options for other uses', async () => {
    const app = await startPair(
      makeClient({
        ...sharedServer(),
        keyPrefix: 'my-app:',
        db: 5,
        stringNumbers: true,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 1,
        autoResubscribe: true,
      }),
    );
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('accepts a client with enableAutoPipelining', async () => {
    const app = await startPair(
      makeClient({ ...sharedServer(), enableAutoPipelining: true }),
    );
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('publishes after a connection broke under a client with enableAutoPipelining', async () => {
    const { port, url } = await startServer();
    const client = makeClient({ port, enableAutoPipelining: true });
    const { publisher } = await startApp({ connection: client });
    const raw = connectRaw(url);
    await raw.client('PAUSE', 60_000, 'WRITE');
    const unanswered = publisher.invalidateUser('1');
    expect((await unanswered).status).toBe('queued');
    await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await raw.client('UNPAUSE');
    await eventually(() => expect(publisher.pending).toBe(0));
    expect((await publisher.invalidateUser('2')).status).toBe('delivered');
  });

  it("does not receive messages of the application's own subscriptions", async () => {
    const client = makeClient(sharedServer());
    const app = await startPair(client);
    const own = client.duplicate();
    onTestFinished(() => own.disconnect());
    const heard: string[] = [];
    own.on('message', (_channel, payload: string) => heard.push(payload));
    const channel = uniqueChannel();
    await own.subscribe(channel);

    await client.publish(channel, 'mine');

    await eventually(() => expect(heard).toEqual(['mine']));
    expect(app.stats.snapshot().malformed).toBe(0);
  });
});

describeOnRedisServer('option connection: TLS', () => {
  const openssl = promisify(execFile);
  let folder: string;
  let ca: string;
  let port: number;
  let server: RedisServer;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const request =
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes' +
      ' -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1';
    await openssl('openssl', [
      ...request.split(' '),
      '-keyout',
      key,
      '-out',
      cert,
    ]);
    ca = await readFile(cert, 'utf8');
    port = await freePort();
    server = await startRedis({
      args: [
        '--tls-port',
        `${port}`,
        '--tls-auth-clients',
        'no',
        '--tls-cert-file',
        cert,
        '--tls-key-file',
        key,
      ],
    });
  });

  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  it('accepts a trusted certificate', async () => {
    const app = await startPair(
      { host: '127.0.0.1', port, tls: { ca } },
      server.url,
    );
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('accepts a client of the application', async () => {
    const client = new Redis(`rediss://127.0.0.1:${port}`, { tls: { ca } });
    onTestFinished(() => client.disconnect());
    const app = await startPair(client, server.url);
    expect(app.states).toEqual(STRAIGHT_TO_LIVE);
  });

  it('starts with an untrusted certificate, and logs the reason', async () => {
    const log = new LogRecorder();
    const app = await startApp({
      connection: `rediss://127.0.0.1:${port}`,
      startupTimeout: 300,
      logger: log,
    });
    expect(app.subscriber.status.state).toBe('connecting');
    await eventually(() => expect(log.errors.join()).toMatch(/self.signed/));
  });
});

describeOnRedisServer('option connection: a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster.stop());

  /** Nodes with a subscriber. */
  async function subscribedNodes(channel: string): Promise<RedisServer[]> {
    const counts = await Promise.all(
      cluster.servers.map(async ({ url }) => {
        const client = new Redis(url);
        const [, count] = await client.pubsub('NUMSUB', channel);
        client.disconnect();
        return Number(count);
      }),
    );
    return cluster.servers.filter((_, index) => counts[index]! > 0);
  }

  it('accepts nodes, and delivers messages from any node to any other', async () => {
    const channel = uniqueChannel();
    const connection = { cluster: { nodes: cluster.nodes } };
    const apps: TestApp[] = [];
    // Each subscriber chooses a node at random: repeated until all are taken.
    await eventually(async () => {
      apps.push(await startApp({ connection, channel }));
      expect(await subscribedNodes(channel)).toHaveLength(3);
    }, slow);

    await apps[0]!.publisher.invalidateUser('1');
    for (const { url } of cluster.servers) {
      await connectRaw(url).publish(channel, 'no message');
    }

    await eventually(() => {
      for (const app of apps) {
        expect(app.messages.map(said)).toEqual(['User:1']);
        expect(app.stats.snapshot().malformed).toBe(3);
      }
    });
  });

  it('keeps the order of one publisher', async () => {
    const connection = { cluster: { nodes: cluster.nodes } };
    const writer = await startApp({ connection });
    const readers = await Promise.all(
      [1, 2, 3].map(() => startApp({ connection, channel: writer.channel })),
    );
    const ids = Array.from({ length: 1_000 }, (_, i) => String(i));

    for (const id of ids) {
      const published = writer.publisher.invalidateUser(id);
      if (Number(id) % 3 === 0) await published;
    }
    await eventually(() => {
      for (const { messages } of readers) expect(messages).toHaveLength(1_000);
    });

    for (const { messages } of readers) {
      expect(messages.map(({ entityId }) => entityId)).toEqual(ids);
    }
  });

  it('accepts a client of the application, and leaves it unchanged', async () => {
    const client = new Cluster(cluster.nodes);
    onTestFinished(() => client.disconnect());
    const writer = await startApp({ connection: client });
    const reader = await startApp({
      connection: client,
      channel: writer.channel,
    });

    await expectToHearEachOther(writer, reader);
    await writer.close();
    await reader.close();

    expect(await client.set('key', 'value')).toBe('OK');
    await eventually(async () =>
      expect(await subscribedNodes(writer.channel)).toEqual([]),
    );
  });

  it('accepts a lazy client of the application', async () => {
    const client = new Cluster(cluster.nodes, { lazyConnect: true });
    onTestFinished(() => client.disconnect());
    const writer = await startApp({ connection: client });
    const reader = await startApp({
      connection: client,
      channel: writer.channel,
    });
    await expectToHearEachOther(writer, reader);
    expect(client.status).toBe('wait');
  });

  /** A channel whose journal is on the node, or is not. */
  async function channelOn(
    { url }: RedisServer,
    there: boolean,
  ): Promise<string> {
    const raw = connectRaw(url);
    // A node answers MOVED for a key of another node.
    const isThere = async (channel: string): Promise<boolean> =>
      raw.exists(`{${channel}}:journal`).then(
        () => true,
        () => false,
      );
    let channel = uniqueChannel();
    while ((await isThere(channel)) !== there) channel = uniqueChannel();
    return channel;
  }

  // The last test, since the cluster is broken afterwards.
  it.each([
    ['without a journal: widens', false, 'reconnected'],
    ['with a journal on another node: replays', undefined, null],
  ] as const)(
    'reconnects when it loses the node of the subscription, %s',
    async (_, journal, widened) => {
      const own = await startCluster();
      onTestFinished(() => own.stop());
      const connection = { cluster: { nodes: own.nodes } };
      const [first] = own.servers.toSorted((a, b) => (a.url < b.url ? -1 : 1));
      const isOn = async (channel: string): Promise<boolean> => {
        const [, count] = await connectRaw(first!.url).pubsub(
          'NUMSUB',
          channel,
        );
        return Number(count) > 0;
      };
      const app = await eventually(async () => {
        const channel = await channelOn(first!, false);
        const candidate = await startApp({ connection, journal, channel });
        expect(await isOn(channel)).toBe(true);
        return candidate;
      }, slow);
      const other = await startApp({
        connection,
        journal,
        channel: app.channel,
      });
      await expectToHearEachOther(app, other);

      first!.kill();

      await eventually(
        () => expect(app.states).toContain('disconnected'),
        slow,
      );
      // All messages arrive in order, whether a node was there to take them or not.
      const ids = Array.from({ length: 50 }, (__, i) => `after ${i}`);
      for (const id of ids) await other.publisher.invalidateUser(id);
      await eventually(() => expect(app.states.at(-1)).toBe('live'), slow);
      for (const id of ids) await other.publisher.invalidateUser(id);
      const heard = (): unknown[] =>
        app.messages.filter((m) => m.widened === null).map((m) => m.entityId);
      await eventually(() => {
        expect(heard().slice(-50)).toEqual(ids);
        expect(other.publisher.pending).toBe(0);
      }, slow);

      const causes = new Set(app.messages.map((message) => message.widened));
      expect(causes).toEqual(new Set([null, widened]));
      // Missed messages are covered by "everything", or were replayed.
      const expected = ['1', '1', ...ids, ...ids];
      const missed = widened === null ? 0 : expected.length - heard().length;
      expect(heard()).toEqual([
        ...expected.slice(0, 2),
        ...expected.slice(2 + missed),
      ]);
    },
    60_000,
  );
});

describeOnRedisServer('option connection: Sentinel', () => {
  it('replays or widens what is published during a failover', async () => {
    const { sentinels, name, replica, stop } = await startSentinel();
    onTestFinished(stop);
    const connection = { sentinels, name };
    const writer = await startApp({ connection });
    const reader = await startApp({ connection, channel: writer.channel });
    await expectToHearEachOther(writer, reader);

    const { host, port } = sentinels[0]!;
    await connectRaw(`redis://${host}:${port}`).call(
      'SENTINEL',
      'FAILOVER',
      name,
    );
    const ids: string[] = [];
    await eventually(async () => {
      ids.push(`during ${ids.length}`);
      await writer.publisher.invalidateUser(ids.at(-1)!);
      for (const app of [writer, reader]) {
        expect(app.states).toContain('disconnected');
        expect(app.states.at(-1)).toBe('live');
      }
    }, slow);
    // Both instances use the new master now.
    const raw = connectRaw(replica.url);
    await eventually(
      async () =>
        expect(await raw.call('PUBSUB', 'NUMSUB', writer.channel)).toEqual([
          writer.channel,
          2,
        ]),
      slow,
    );

    await eventually(() => expect(writer.publisher.pending).toBe(0), slow);
    await reader.publisher.invalidateUser('last');
    await eventually(
      () => expect(writer.messages.map(said)).toContain('User:last'),
      slow,
    );
    await writer.publisher.invalidateUser('very last');
    await eventually(
      () => expect(reader.messages.map(said)).toContain('User:very last'),
      slow,
    );
    const widenedAt = reader.messages.findLastIndex((m) => m.widened !== null);
    const heard = reader.messages.slice(widenedAt + 1).map((m) => m.entityId);
    // All messages in a row if none was widened.
    const survivors = ids.filter((id) => heard.includes(id));
    expect(survivors).toEqual(ids.slice(ids.length - survivors.length));
    const dropped = widenedAt < 0 ? ids.length - survivors.length : 0;
    expect(dropped).toBe(0);
  }, 60_000);
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await once(probe.close(), 'close');
  return port;
}
