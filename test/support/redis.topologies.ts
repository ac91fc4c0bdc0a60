import { Redis } from 'ioredis';
import { eventually } from './eventually.js';
import {
  HOST,
  orStop,
  startProcess,
  startRedis,
  type RedisServer,
} from './redis.js';

export interface RedisCluster {
  /** What a cluster client is given to start from. */
  readonly nodes: { host: string; port: number }[];
  /** The masters, in the order of `nodes`, for faults. */
  readonly servers: RedisServer[];
  stop(): Promise<void>;
}

/** Starts three masters that share the slots and resolves once each calls the cluster's state ok. */
export async function startCluster(): Promise<RedisCluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
  const servers = await Promise.all(
    Array.from({ length: 3 }, () => startRedis({ args, real: true })),
  );
  const cluster = {
    servers,
    nodes: servers.map(({ port }) => ({ host: HOST, port })),
    stop: () => stopAll(servers),
  };
  return orStop(cluster, () => formCluster(servers));
}

export interface RedisSentinel {
  readonly sentinels: { host: string; port: number }[];
  readonly name: string;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  stop(): Promise<void>;
}

/**
 * Starts a master, its replica and one sentinel whose vote is enough, and
 * resolves once the sentinel could fail over to the replica.
 */
export async function startSentinel(): Promise<RedisSentinel> {
  const name = 'mymaster';
  const master = await startRedis({
    args: ['--repl-diskless-sync-delay', '0'],
    real: true,
  });
  const replica = await startRedis({
    args: ['--replicaof', HOST, `${master.port}`],
    real: true,
  });
  // A sentinel looks for replicas when it meets the master and then every 10 s only.
  await eventually(() => replicaIsLinked(replica));
  const sentinel = await startProcess({
    config: sentinelConfig(name, master),
    args: ['--sentinel'],
  });
  const topology = {
    name,
    master,
    replica,
    sentinels: [{ host: HOST, port: sentinel.port }],
    stop: () => stopAll([sentinel, replica, master]),
  };
  return orStop(topology, () =>
    eventually(() => sentinelKnowsReplica(sentinel, name)),
  );
}

async function stopAll(servers: RedisServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}

async function ask<T>(
  port: number,
  command: (client: Redis) => Promise<T>,
): Promise<T> {
  const client = new Redis(port, HOST, {
    lazyConnect: true,
    retryStrategy: () => null,
  });
  try {
    await client.connect();
    return await command(client);
  } finally {
    client.disconnect();
  }
}

function expectLine(info: string, line: string): void {
  if (!info.split('\r\n').includes(line))
    throw new Error(`'${line}' is not in:\n${info}`);
}

const SLOTS = 16_384;

async function formCluster(servers: RedisServer[]): Promise<void> {
  await Promise.all(
    servers.map((server, i) => addSlots(server, i, servers.length)),
  );
  await Promise.all(
    servers.slice(1).map((server) => meet(server, servers[0]!)),
  );
  await eventually(() => Promise.all(servers.map(clusterIsOk)), {
    timeout: 20_000,
  });
}

/** One by one rather than by ADDSLOTSRANGE, which Redis 6 does not have. */
async function addSlots(
  { port }: RedisServer,
  index: number,
  count: number,
): Promise<void> {
  const slots = Array.from({ length: SLOTS }, (_, slot) => slot);
  const own = slots.filter(
    (slot) => Math.floor((slot * count) / SLOTS) === index,
  );
  await ask(port, (client) => client.cluster('ADDSLOTS', ...own));
}

async function meet({ port }: RedisServer, other: RedisServer): Promise<void> {
  await ask(port, (client) => client.cluster('MEET', HOST, other.port));
}

async function clusterIsOk({ port }: RedisServer): Promise<void> {
  const info = await ask(port, (client) => client.cluster('INFO'));
  expectLine(info, 'cluster_state:ok');
  expectLine(info, 'cluster_known_nodes:3');
}

function sentinelConfig(name: string, master: RedisServer): string {
  return `sentinel monitor ${name} ${HOST} ${master.port} 1
sentinel down-after-milliseconds ${name} 1000
sentinel failover-timeout ${name} 5000
`;
}

async function replicaIsLinked({ port }: RedisServer): Promise<void> {
  expectLine(
    await ask(port, (client) => client.info('replication')),
    'master_link_status:up',
  );
}

async function sentinelKnowsReplica(
  { port }: RedisServer,
  name: string,
): Promise<void> {
  const replicas = await ask(port, (client) =>
    client.call('SENTINEL', 'REPLICAS', name),
  );
  if (!JSON.stringify(replicas).includes('"master-link-status","ok"')) {
    throw new Error(
      `The sentinel knows no linked replica: ${JSON.stringify(replicas)}`,
    );
  }
}
