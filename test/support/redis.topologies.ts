import { Redis } from 'ioredis';
import type { Certificates } from './certificates.js';
import { eventually } from './eventually.js';
import {
  HOST,
  orStop,
  startProcess,
  startRedis,
  type RedisServer,
} from './redis.js';

export interface RedisCluster {
  /** Nodes that a cluster client starts from. */
  readonly nodes: { host: string; port: number }[];
  /** The masters, in the order of `nodes`, for faults. */
  readonly servers: RedisServer[];
  /** Replicas, one for each master, in the order of the masters; empty by default. */
  readonly replicas: RedisServer[];
  /** The master that had the key's slot when the cluster was started. */
  ownerOf(key: string): Promise<RedisServer>;
  /** Gives the slot of the key, with all keys in it, to another master. */
  moveSlot(key: string, from: RedisServer, to: RedisServer): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterShape {
  readonly masters?: number;
  readonly replicated?: boolean;
  /** Nodes name their ports for TLS to clients that use TLS. */
  readonly tls?: Certificates | undefined;
}

/**
 * Starts masters that share the slots, each with a replica if asked, and
 * resolves once each calls the cluster's state ok.
 */
export async function startCluster({
  masters = 3,
  replicated = false,
  tls,
}: ClusterShape = {}): Promise<RedisCluster> {
  const args = [
    '--cluster-enabled',
    'yes',
    '--cluster-node-timeout',
    '2000',
    // A node that has met no other does not know its own address.
    '--cluster-announce-ip',
    HOST,
    ...(tls ? ['--tls-cluster', 'yes'] : []),
  ];
  const all = await Promise.all(
    Array.from({ length: replicated ? 2 * masters : masters }, () =>
      startRedis({ args, tls, real: true }),
    ),
  );
  const [servers, replicas] = [all.slice(0, masters), all.slice(masters)];
  const cluster = {
    servers,
    replicas,
    nodes: servers.map((server) => ({ host: HOST, port: portOf(server) })),
    ownerOf: async (key: string) => {
      const slot = await slotOf(servers[0]!, key);
      return servers.findLast((_, index) => firstSlot(index, masters) <= slot)!;
    },
    moveSlot: (key: string, from: RedisServer, to: RedisServer) =>
      moveSlot(servers, key, from, to),
    stop: () => stopAll(all),
  };
  return orStop(cluster, async () => {
    await formCluster(servers, replicas);
  });
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
 *
 * @param tls all three speak TLS with each other, and the sentinel names ports for it
 */
export async function startSentinel(
  tls?: Certificates,
): Promise<RedisSentinel> {
  const name = 'mymaster';
  const secure = tls ? ['--tls-replication', 'yes'] : [];
  const master = await startRedis({
    args: ['--repl-diskless-sync-delay', '0', ...secure],
    tls,
    real: true,
  });
  const replica = await startRedis({
    args: ['--replicaof', HOST, `${portOf(master)}`, ...secure],
    tls,
    real: true,
  });
  // A sentinel looks for replicas when it meets the master and then every 10 s only.
  await eventually(() => replicaIsLinked(replica));
  const sentinel = await startProcess({
    config: sentinelConfig(name, master),
    args: ['--sentinel', ...secure],
    tls,
  });
  const topology = {
    name,
    master,
    replica,
    sentinels: [{ host: HOST, port: portOf(sentinel) }],
    stop: () => stopAll([sentinel, replica, master]),
  };
  return orStop(topology, () =>
    eventually(() => sentinelKnowsReplica(sentinel, name)),
  );
}

/** The port at which the topology's members find a server. */
function portOf({ port, tlsPort }: RedisServer): number {
  return tlsPort ?? port;
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

async function formCluster(
  servers: RedisServer[],
  replicas: RedisServer[],
): Promise<void> {
  const all = [...servers, ...replicas];
  await Promise.all(
    servers.map((server, i) => addSlots(server, i, servers.length)),
  );
  await Promise.all(all.slice(1).map((server) => meet(server, all[0]!)));
  const ok = (): Promise<unknown> =>
    Promise.all(all.map((server) => clusterIsOk(server, all.length)));
  await eventually(ok, { timeout: 20_000 });
  await Promise.all(
    replicas.map(async ({ port }, i) => {
      const master = await ask(servers[i]!.port, (client) =>
        client.cluster('MYID'),
      );
      await ask(port, (client) => client.cluster('REPLICATE', master));
    }),
  );
  // A replica that the master does not know gets no vote.
  const linked = async (): Promise<void> => {
    await Promise.all(replicas.map(replicaIsLinked));
    await Promise.all(
      all.map((server) => knowsReplicas(server, replicas.length)),
    );
  };
  await eventually(linked, { timeout: 20_000 });
}

async function knowsReplicas(
  { port }: RedisServer,
  count: number,
): Promise<void> {
  const nodes = String(await ask(port, (client) => client.cluster('NODES')));
  const known = nodes.split('\n').filter((line) => line.includes('slave'));
  if (known.length !== count)
    throw new Error(`${count} replicas in:\n${nodes}`);
}

function slotOf({ port }: RedisServer, key: string): Promise<number> {
  return ask(port, (client) => client.cluster('KEYSLOT', key));
}

async function moveSlot(
  servers: RedisServer[],
  key: string,
  from: RedisServer,
  to: RedisServer,
): Promise<void> {
  const slot = await slotOf(from, key);
  const [source, target] = await Promise.all(
    [from, to].map(({ port }) => ask(port, (client) => client.cluster('MYID'))),
  );
  await ask(to.port, (client) =>
    client.cluster('SETSLOT', slot, 'IMPORTING', source!),
  );
  await ask(from.port, (client) =>
    client.cluster('SETSLOT', slot, 'MIGRATING', target!),
  );
  await ask(from.port, async (client) => {
    const keys = await client.cluster('GETKEYSINSLOT', slot, 1_000);
    for (const each of keys)
      await client.migrate(HOST, to.port, each, 0, 5_000);
  });
  // The new owner first, or the slot would have no owner for a moment.
  for (const { port } of [to, from, ...servers]) {
    await ask(port, (client) =>
      client.cluster('SETSLOT', slot, 'NODE', target!),
    );
  }
}

/** Adds slots one by one: Redis 6 does not have ADDSLOTSRANGE. */
async function addSlots(
  { port }: RedisServer,
  index: number,
  count: number,
): Promise<void> {
  const slots = Array.from({ length: SLOTS }, (_, slot) => slot);
  const own = slots.slice(firstSlot(index, count), firstSlot(index + 1, count));
  await ask(port, (client) => client.cluster('ADDSLOTS', ...own));
}

function firstSlot(index: number, count: number): number {
  return Math.ceil((index * SLOTS) / count);
}

async function meet({ port }: RedisServer, other: RedisServer): Promise<void> {
  await ask(port, (client) => client.cluster('MEET', HOST, portOf(other)));
}

async function clusterIsOk(
  { port }: RedisServer,
  nodes: number,
): Promise<void> {
  const info = await ask(port, (client) => client.cluster('INFO'));
  expectLine(info, 'cluster_state:ok');
  expectLine(info, `cluster_known_nodes:${nodes}`);
}

function sentinelConfig(name: string, master: RedisServer): string {
  return `sentinel monitor ${name} ${HOST} ${portOf(master)} 1
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
