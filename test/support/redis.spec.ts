import { once } from 'node:events';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import { EmbeddedValkey } from '../../sample-app/demo/embedded-valkey.js';
import { eventually } from './eventually.js';
import { startRedis } from './redis.js';
import {
  describeOnRedisServer,
  itOnRedisServer,
  startServer,
} from './redis-server.js';
import { startCluster, startSentinel } from './redis.topologies.js';

/**
 * A client that gives up at the first failure, so that an outage is an error
 * and not a wait.
 */
function connectTo(url: string, options?: RedisOptions): Redis {
  const client = new Redis(url, {
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    ...options,
  });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

async function ping(url: string): Promise<string> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
  });
  try {
    await client.connect();
    return await client.ping();
  } finally {
    client.disconnect();
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * Message of a refused connection, which ioredis reports in an event, with less
 * in the rejection.
 */
async function connectionError(url: string): Promise<unknown> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
  });
  const failed = once(client, 'error');
  await client.connect().catch(() => {});
  const [error] = await failed;
  return error;
}

describe('the server that all files share', () => {
  it('responds at the provided URL', async () => {
    expect(await ping(inject('redisUrl'))).toBe('PONG');
  });
});

describe.each([
  { kind: 'redis-server', real: true, runs: itOnRedisServer },
  { kind: 'embedded', real: false, runs: it },
] as const)('startRedis: $kind', ({ kind, real, runs }) => {
  runs('answers', async () => {
    const server = await startServer({ real });
    expect(server.kind).toBe(kind);
    expect(await ping(server.url)).toBe('PONG');
  });

  runs('restarts empty on the same port', async () => {
    const server = await startServer({ real });
    const { url, port } = server;
    await connectTo(url).set('key', 'value');

    await server.restart();

    expect(server).toMatchObject({ url, port });
    expect(await connectTo(url).get('key')).toBeNull();
  });

  runs('refuses connections once killed, until restarted', async () => {
    const server = await startServer({ real });
    const closed = once(
      connectTo(server.url).on('ready', () => server.kill()),
      'end',
    );

    await closed;

    await eventually(async () =>
      expect(await connectionError(server.url)).toMatchObject({
        code: 'ECONNREFUSED',
      }),
    );
    await server.restart();
    expect(await ping(server.url)).toBe('PONG');
  });

  runs('can be stopped twice', async () => {
    const server = await startServer({ real });
    await server.stop();
    await server.stop();
    expect(await connectionError(server.url)).toMatchObject({
      code: 'ECONNREFUSED',
    });
  });
});

describeOnRedisServer('startRedis: redis-server', () => {
  it('is silent while paused and responds once resumed', async () => {
    const server = await startServer({ real: true });
    const client = connectTo(server.url);
    const impatient = connectTo(server.url, { commandTimeout: 100 });
    await Promise.all([client.ping(), impatient.ping()]);

    server.pause();
    const reply = client.ping();
    await expect(impatient.ping()).rejects.toThrow('timed out');
    server.resume();

    expect(await reply).toBe('PONG');
  });

  it('can be stopped while paused', async () => {
    const server = await startServer({ real: true });
    const pid = server.pid!;
    server.pause();
    await server.stop();
    expect(isRunning(pid)).toBe(false);
  });

  it('passes its arguments on', async () => {
    const server = await startServer({ args: ['--requirepass', 'secret'] });
    await expect(connectTo(server.url).ping()).rejects.toThrow('NOAUTH');
  });

  it('reports the output of redis-server when it does not start', async () => {
    await expect(
      startRedis({ args: ['--no-such-option', 'yes'] }),
    ).rejects.toThrow(/did not start[^]*no-such-option/);
  });

  it('forms a cluster of three masters', async () => {
    const servers = await startCluster();
    onTestFinished(() => servers.stop());
    const cluster = new Cluster(servers.nodes);
    onTestFinished(() => cluster.disconnect());

    // Slots of the keys are in the first, the second and the last third.
    for (const key of ['bar', 'hello', 'foo']) {
      expect(await cluster.set(key, key)).toBe('OK');
    }
    expect(cluster.nodes('master')).toHaveLength(3);
  });

  it('fails over by Sentinel', async () => {
    const servers = await startSentinel();
    onTestFinished(() => servers.stop());
    const { sentinels, name, master, replica } = servers;
    const client = new Redis({
      sentinels,
      name,
      sentinelRetryStrategy: () => 50,
    });
    client.on('error', () => {});
    onTestFinished(() => client.disconnect());
    expect(await client.info('server')).toContain(`tcp_port:${master.port}`);

    master.kill();

    await eventually(
      async () => {
        expect(await client.info('server')).toContain(
          `tcp_port:${replica.port}`,
        );
        expect(await client.set('key', 'value')).toBe('OK');
      },
      { timeout: 20_000 },
    );
  });
});

describe('a test that is not marked as one that needs a redis-server', () => {
  it.each([
    ['by name', () => startRedis({ real: true })],
    ['with arguments', () => startRedis({ args: ['--maxmemory', '1mb'] })],
    ['in a cluster', () => startCluster()],
    ['behind a Sentinel', () => startSentinel()],
  ])('cannot start one %s', async (_, starting) => {
    await expect(starting()).rejects.toThrow(
      'needs a redis-server, and this test is not marked so',
    );
  });

  it('cannot pause its server', async () => {
    const server = await startServer();
    expect(() => server.pause()).toThrow('needs a redis-server');
  });

  it('gets the kind of the shared server by default', async () => {
    expect(await ping((await startServer()).url)).toBe('PONG');
  });
});

describe('startRedis: embedded', () => {
  it('rejects pause(), which needs a redis-server', async () => {
    const server = await startServer({ real: false });
    expect(() => server.pause()).toThrow('needs a redis-server');
    expect(() => server.resume()).toThrow('needs a redis-server');
  });

  it('rejects arguments', async () => {
    const starting = startRedis({ real: false, args: ['--maxmemory', '1mb'] });
    await expect(starting).rejects.toThrow('needs a redis-server');
  });
});

describe('EmbeddedValkey', () => {
  let valkey: EmbeddedValkey;

  beforeAll(async () => {
    valkey = await EmbeddedValkey.start();
  });

  afterAll(() => valkey.stop());

  it('responds to SET and GET, also with values far above one read buffer', async () => {
    const client = connectTo(valkey.url);
    const value = 'x'.repeat(3_000_000);
    expect(await client.set('key', value)).toBe('OK');
    expect(await client.get('key')).toBe(value);
  });

  it('delivers published messages', async () => {
    const subscriber = connectTo(valkey.url);
    await subscriber.subscribe('channel');
    const message = once(subscriber, 'message');
    expect(await connectTo(valkey.url).publish('channel', 'hello')).toBe(1);
    expect(await message).toEqual(['channel', 'hello']);
  });

  it('runs Lua', async () => {
    const client = connectTo(valkey.url);
    const script =
      "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])";
    expect(await client.eval(script, 1, 'key', 'value')).toBe('value');
  });

  it('responds to a single command without waiting for its 100 ms tick', async () => {
    const client = connectTo(valkey.url);
    await client.ping();
    const startedAt = performance.now();
    for (let kb = 0; kb < 50; kb++)
      await client.set('key', 'x'.repeat(kb * 1024));
    // The package takes 5,000 ms without the additional passes.
    expect(performance.now() - startedAt).toBeLessThan(1500);
  });

  it('rejects a start on a port in use', async () => {
    await expect(EmbeddedValkey.start(valkey.port)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });

  it('responds again once stopped and started on the same port', async () => {
    const { port } = valkey;
    await connectTo(valkey.url).ping();

    await valkey.stop();
    valkey = await EmbeddedValkey.start(port);

    expect(await ping(valkey.url)).toBe('PONG');
  });
});
