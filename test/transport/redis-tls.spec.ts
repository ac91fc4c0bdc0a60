import { readFile } from 'node:fs/promises';
import { Cluster, Redis } from 'ioredis';
import {
  NearCacheFactory,
  type RedisConnection,
} from 'nestjs-cache-invalidation';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import {
  makeCertificates,
  type Certificates,
} from '../support/certificates.js';
import { startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import type { RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { startCluster, startSentinel } from '../support/redis.topologies.js';

interface TlsOptions {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface Setup {
  readonly sharded?: boolean;
  /** Client of the second tier; the module's if it is not given. */
  readonly l2?: RedisConnection;
}

/**
 * Starts two instances with a second tier, whose servers demand a client certificate
 * on their ports for TLS.
 *
 * @param servers all that may have a connection
 * @returns connections of the instances that are on other ports
 */
async function connectionsInTheClear(
  connection: RedisConnection,
  servers: readonly RedisServer[],
  { sharded = false, l2 }: Setup = {},
): Promise<unknown[]> {
  const before = await clientsOf(servers);
  const channel = uniqueChannel();
  const options = { connection, channel, sharded };
  const [writer, reader] = [await startApp(options), await startApp(options)];
  const [cache, other] = [writer, reader].map(({ context }) =>
    context.get(NearCacheFactory).create<string>('User', {
      l2: { keyPrefix: `${channel}:`, ...(l2 && { connection: l2 }) },
    }),
  );

  const { status, offset } = await writer.publisher.invalidateUser('1');
  expect(status).toBe('delivered');
  await reader.subscriber.caughtUp(offset!);
  let attempt = 0;
  // No read waits until its entry is in Redis: another key for each attempt.
  await eventually(async () => {
    attempt++;
    await cache!.get(attempt, async () => 'value');
    await other!.get(attempt, async () => 'value');
    expect(other!.stats.l2Hits).toBeGreaterThan(0);
  });

  const clients = (await clientsOf(servers)).filter(
    ({ id }) => !before.some((each) => each.id === id),
  );
  // Commands, subscription and second tier of both instances.
  expect(clients.length).toBeGreaterThanOrEqual(6);
  return clients.filter(({ isTls }) => !isTls);
}

/** Connections of clients, other than those of the test itself and between servers. */
async function clientsOf(
  servers: readonly RedisServer[],
): Promise<{ id: string; isTls: boolean; cmd: string }[]> {
  const lists = await Promise.all(
    servers.map(async ({ url, tlsPort }) => {
      const raw = new Redis(url);
      const list = String(await raw.client('LIST'));
      raw.disconnect();
      return list.split('\n').map((line) => ({ url, line, tlsPort }));
    }),
  );
  return lists
    .flat()
    .filter(({ line }) => /\bflags=[NP]\b/.test(line))
    .map(({ url, line, tlsPort }) => ({
      id: `${url} ${/\bid=\d+/.exec(line)?.[0]}`,
      isTls: line.includes(` laddr=127.0.0.1:${tlsPort} `),
      cmd: /\bcmd=\S+/.exec(line)?.[0] ?? '',
    }))
    .filter(({ cmd }) => cmd !== 'cmd=client|list');
}

describeOnRedisServer('TLS with client certificates', () => {
  let files: Certificates;
  let tls: TlsOptions;

  beforeAll(async () => {
    files = await makeCertificates();
    const [ca, cert, key] = await Promise.all(
      [files.ca, files.client.cert, files.client.key].map((path) =>
        readFile(path, 'utf8'),
      ),
    );
    tls = { ca: ca!, cert: cert!, key: key! };
  });
  afterAll(() => files.remove());

  const here = { host: '127.0.0.1' };

  it('is used by every connection to a server', async () => {
    const server = await startServer({ tls: files });
    const port = server.tlsPort!;
    expect(
      await connectionsInTheClear({ ...here, port, tls }, [server]),
    ).toEqual([]);
  });

  it('is used by the own connection of a second tier', async () => {
    const server = await startServer({ tls: files });
    const entries = await startServer({ tls: files });
    expect(
      await connectionsInTheClear(
        { ...here, port: server.tlsPort!, tls },
        [server, entries],
        { l2: { ...here, port: entries.tlsPort!, tls } },
      ),
    ).toEqual([]);
  });

  it('is copied from a client of the application', async () => {
    const server = await startServer({ tls: files });
    const client = new Redis({ ...here, port: server.tlsPort!, tls });
    onTestFinished(() => client.disconnect());
    await client.ping();
    expect(await connectionsInTheClear(client, [server])).toEqual([]);
  });

  it('is used by the Sentinels and the master', async () => {
    const topology = await startSentinel(files);
    onTestFinished(topology.stop);
    const { sentinels, name, master, replica } = topology;
    const servers = [master, replica];
    expect(
      await connectionsInTheClear({ sentinels, name, tls }, servers),
    ).toEqual([]);
    const client = new Redis({ sentinels, name, tls, lazyConnect: true });
    expect(await connectionsInTheClear(client, servers)).toEqual([]);
    const plain = startApp({
      connection: { sentinels, name, tls: { ca: tls.ca } },
      startupTimeout: 300,
      shutdownTimeout: 50,
    });
    expect((await plain).subscriber.status.state).toBe('connecting');
  });

  it.each([
    ['the subscription', false],
    ['the shard subscription', true],
  ])('is used by the nodes of a cluster and %s', async (_, sharded) => {
    const cluster = await startCluster({ tls: files });
    onTestFinished(() => cluster.stop());
    const { nodes, servers } = cluster;
    const options = { redisOptions: { tls } };
    expect(
      await connectionsInTheClear({ cluster: { nodes, options } }, servers, {
        sharded,
      }),
    ).toEqual([]);
    const client = new Cluster(nodes, { ...options, lazyConnect: true });
    expect(await connectionsInTheClear(client, servers, { sharded })).toEqual(
      [],
    );
    const urls = nodes.map(({ host, port }) => `rediss://${host}:${port}`);
    const byUrl = { cluster: { nodes: urls, options } };
    expect(await connectionsInTheClear(byUrl, servers, { sharded })).toEqual(
      [],
    );
  });
});
