/**
 * Brokers that an application may connect to: one Redis, a Sentinel, a Cluster.
 * Each `broker` can `link()` an application: a proxy of its own to every
 * server.
 */
import { Link } from './link.mjs';
import { HOST, RedisServer } from './redis.mjs';
import { until } from './wait.mjs';

/** @param running `false`: the server is configured, but not started */
export async function singleBroker({ running = true, ...options } = {}) {
  const redis = await RedisServer.create(options);
  if (running) await redis.start();
  return {
    redis,
    async link() {
      const links = [await Link.open(redis.port)];
      return { links, connection: `redis://${HOST}:${links[0].port}` };
    },
    stop: () => redis.stop(),
  };
}

const SENTINEL_NAME = 'chaos';

/**
 * A master, a replica behind a link of its own, and one Sentinel with two
 * addresses: a link that may break, and its own.
 */
export async function sentinelBroker() {
  const master = await RedisServer.start({
    args: ['--repl-diskless-sync-delay', '0'],
  });
  const replication = await Link.open(master.port);
  const replica = await RedisServer.start({
    args: ['--replicaof', HOST, replication.port],
  });
  await until('the replica', async () => {
    return (await replica.info('replication', 'master_link_status')) === 'up';
  });
  // The long failover-timeout keeps Sentinel from "correcting" the replica's
  // master from the link to the server itself; it delays only second tries.
  const sentinel = await RedisServer.start({
    config: `sentinel monitor ${SENTINEL_NAME} ${HOST} ${master.port} 1
sentinel down-after-milliseconds ${SENTINEL_NAME} 500
sentinel failover-timeout ${SENTINEL_NAME} 60000
`,
    args: ['--sentinel'],
  });
  await until('Sentinel to know the replica', async () => {
    const replicas = await sentinel.admin.call(
      'SENTINEL',
      'REPLICAS',
      SENTINEL_NAME,
    );
    return JSON.stringify(replicas).includes('"master-link-status","ok"');
  });
  const firstSentinel = await Link.open(sentinel.port);
  return {
    redis: master,
    replica,
    replication,
    firstSentinel,
    async link() {
      const { links, natMap } = await linkAll([master, replica]);
      return {
        links,
        connection: {
          sentinels: [
            { host: HOST, port: firstSentinel.port },
            sentinel.address,
          ],
          name: SENTINEL_NAME,
          natMap,
        },
      };
    },
    async stop() {
      await firstSentinel.close();
      await replication.close();
      await stopAll([sentinel, replica, master]);
    },
  };
}

const SLOTS = 16_384;

/** Three masters that share the slots, the owner of `key` with a replica. */
export async function clusterBroker(key) {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
  const servers = await Promise.all(
    Array.from({ length: 4 }, () => RedisServer.start({ args })),
  );
  const [replica, ...masters] = servers;
  await Promise.all(masters.map(assignSlots));
  for (const { admin } of servers.slice(1)) {
    await admin.cluster('MEET', HOST, replica.port);
  }
  const slot = await replica.admin.cluster('KEYSLOT', key);
  const owner = masters[ownerOf(slot, masters.length)];
  const ownerId = await owner.admin.cluster('MYID');
  await until('the replica to know its master', () =>
    replica.admin.cluster('REPLICATE', ownerId).catch(() => null),
  );
  await until('the cluster', async () => {
    const states = await Promise.all(servers.map(isComplete));
    return states.every(Boolean);
  });
  await until('the replica', async () => {
    return (await replica.info('replication', 'master_link_status')) === 'up';
  });
  return {
    redis: owner,
    replica,
    masters,
    slot,
    async link() {
      const { links, natMap } = await linkAll(servers);
      return {
        links,
        connection: {
          cluster: { nodes: Object.values(natMap), options: { natMap } },
        },
      };
    },
    stop: () => stopAll(servers),
  };
}

function ownerOf(slot, count) {
  return Math.floor((slot * count) / SLOTS);
}

async function assignSlots({ admin }, index, masters) {
  const own = Array.from({ length: SLOTS }, (_, slot) => slot).filter(
    (slot) => ownerOf(slot, masters.length) === index,
  );
  await admin.cluster('ADDSLOTSRANGE', own[0], own.at(-1));
  // Masters with the same epoch settle their order themselves, but slowly.
  await admin.cluster('SET-CONFIG-EPOCH', index + 1);
}

async function isComplete({ admin }) {
  const info = await admin.cluster('INFO');
  const nodes = await admin.cluster('NODES');
  return (
    info.includes('cluster_state:ok') &&
    info.includes('cluster_known_nodes:4') &&
    /slave /.test(nodes)
  );
}

/** Opens a link for each server, and a `natMap` with which ioredis finds the links. */
async function linkAll(servers) {
  const links = await Promise.all(servers.map(({ port }) => Link.open(port)));
  const natMap = Object.fromEntries(
    servers.map(({ port }, index) => [
      `${HOST}:${port}`,
      { host: HOST, port: links[index].port },
    ]),
  );
  return { links, natMap };
}

async function stopAll(servers) {
  await Promise.all(servers.map((server) => server.stop()));
}
