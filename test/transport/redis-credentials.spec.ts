import { Redis } from 'ioredis';
import type { RedisConnection } from 'nestjs-cache-invalidation';
import { expect, it, onTestFinished } from 'vitest';
import { openEntries, RedisTransport } from '../../lib/transport/index.js';
import { RedisL2Store } from '../../lib/transport/redis/redis-l2.store.js';
import { connectRaw, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { startCluster } from '../support/redis.topologies.js';
import { about, offsetsOf } from './messages.js';
import { startTransport } from './transport.contract.js';

const RIGHTS = ['~*', '&*', '+@all'];
const patient = { timeout: 20_000 };

async function setUser({ url }: RedisServer, token: string): Promise<void> {
  const admin = connectRaw(url);
  await admin.acl('SETUSER', 'svc', 'on', 'resetpass', `>${token}`, ...RIGHTS);
}

/** Cuts the authenticated connections, as maintenance does. */
async function rotate(server: RedisServer, token: string): Promise<void> {
  await setUser(server, token);
  await connectRaw(server.url).call('CLIENT', 'KILL', 'USER', 'svc');
}

describeOnRedisServer('Changing credentials', () => {
  type Address = { host: string; port: number };
  const ways: [
    string,
    (at: Address, today: () => string) => RedisConnection,
  ][] = [
    [
      'as functions',
      (at, today) => ({
        ...at,
        username: () => 'svc',
        password: async () => today(),
      }),
    ],
    [
      'as options with a getter',
      (at, today) => ({
        ...at,
        username: 'svc',
        get password() {
          return today();
        },
      }),
    ],
    [
      "in the options of a client of the application's",
      (at, today) => {
        const client = new Redis({ ...at, username: 'svc', lazyConnect: true });
        onTestFinished(() => client.disconnect());
        Object.defineProperty(client.options, 'password', {
          enumerable: true,
          get: today,
        });
        return client;
      },
    ],
  ];

  it.each(ways)('%s are read at each connect', async (_, make) => {
    const server = await startServer({ real: true });
    let token = 'one';
    await setUser(server, token);
    const at = { host: '127.0.0.1', port: server.port };
    const connection = make(at, () => token);
    const transport = new RedisTransport({
      connection,
      channel: uniqueChannel(),
      journal: { maxLength: 100 },
      sharded: false,
      maxMessageBytes: 1_048_576,
    });
    const listener = await startTransport(transport);
    const entries = new RedisL2Store(openEntries(connection), () => undefined);
    onTestFinished(() => entries.close());
    entries.open();
    await entries.opened;
    for (token of ['two', 'three']) {
      const heard = listener.payloads.length;
      await rotate(server, token);
      await eventually(async () => {
        offsetsOf(await transport.publish([about(token)], '-'));
        expect(listener.payloads.length).toBeGreaterThan(heard);
      }, patient);
      await eventually(() => entries.write('key', token, 60_000), patient);
    }
  });

  it('are read by every connection to a cluster', async () => {
    const cluster = await startCluster({ masters: 1 });
    onTestFinished(() => cluster.stop());
    const [server] = cluster.servers as [RedisServer];
    let token = 'one';
    await setUser(server, token);
    await connectRaw(server.url).acl(
      'SETUSER',
      'default',
      'resetpass',
      '>other',
    );
    const transport = new RedisTransport({
      connection: {
        cluster: {
          nodes: cluster.nodes,
          options: {
            redisOptions: { username: 'svc', password: async () => token },
          },
        },
      },
      channel: uniqueChannel(),
      journal: { maxLength: 100 },
      sharded: false,
      maxMessageBytes: 1_048_576,
    });
    const listener = await startTransport(transport);
    const admin = connectRaw(`redis://svc:one@127.0.0.1:${server.port}`);
    await admin.ping();
    token = 'two';
    await admin.acl('SETUSER', 'svc', 'resetpass', '>two');
    await admin.call('CLIENT', 'KILL', 'USER', 'svc', 'SKIPME', 'yes');
    await eventually(async () => {
      offsetsOf(await transport.publish([about(token)], '-'));
      expect(listener.payloads).not.toEqual([]);
    }, patient);
  });

  it('reports a password function that fails or never resolves, and calls it again', async () => {
    const server = await startServer({ real: true });
    await setUser(server, 'one');
    let answer = (): Promise<string> => Promise.reject(new Error('no token'));
    const app = await startApp({
      connection: {
        host: '127.0.0.1',
        port: server.port,
        username: 'svc',
        password: () => answer(),
      },
      startupTimeout: 200,
    });
    const failed = 'The function for the password of Redis failed: no token';
    await eventually(() =>
      expect(app.errors.map(({ message }) => message).join()).toContain(failed),
    );
    expect(app.subscriber.status).toMatchObject({
      state: 'connecting',
      reason: failed,
    });
    answer = () => new Promise(() => undefined);
    await eventually(
      () => expect(app.subscriber.status.reason).toContain('no answer within'),
      patient,
    );
    answer = async () => 'one';
    await eventually(
      () => expect(app.subscriber.status.state).toBe('live'),
      patient,
    );
    await eventually(async () =>
      expect(await app.publisher.invalidateUser('1')).toMatchObject({
        status: 'delivered',
      }),
    );
  });
});

it('RedisTransport.close() during a password function leaves no connection open', async () => {
  const server = await startServer();
  let tell!: (token: string) => void;
  const transport = new RedisTransport({
    connection: {
      host: '127.0.0.1',
      port: server.port,
      password: () => new Promise<string>((resolve) => (tell = resolve)),
    },
    channel: uniqueChannel(),
    journal: false,
    sharded: false,
    maxMessageBytes: 1_048_576,
  });
  transport.start({
    onMessage: () => undefined,
    onUnverified: () => undefined,
    onSubscribed: () => undefined,
    onLost: () => undefined,
    onWritable: () => undefined,
    onError: () => undefined,
  });
  await eventually(() => expect(tell).toBeDefined());
  await transport.close();
  tell('any');
  const raw = connectRaw(server.url);
  await raw.ping();
  expect(
    String(await raw.client('LIST'))
      .trim()
      .split('\n'),
  ).toHaveLength(1);
});
