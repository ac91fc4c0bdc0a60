/** 9: a failover to another server. */
import { clusterBroker, sentinelBroker } from '../brokers.mjs';
import { HOST } from '../redis.mjs';
import { until } from '../wait.mjs';

export const failover = [
  {
    name: 'sentinel-failover',
    title: "Sentinel failover that loses the journal's end, readers away",
    broker: () => sentinelBroker(),
    async fault(stage) {
      const [first, second] = stage.readers;
      // One reader is behind the replica, the other one ahead of it.
      sever(first);
      await stage.writes(300);
      stage.broker.replication.sever();
      await stage.writes(300);
      sever(second);
      await stage.writes(300);
      await stage.redis.kill();
      await stage.writes(300);
    },
    async heal(stage) {
      await takesOver(stage.broker.replica);
      stage.readers.forEach(heal);
    },
  },
  {
    name: 'sentinel-failover-unannounced',
    title:
      "Sentinel failover that loses the journal's end, its publishers away for twice the bound of rights",
    broker: () => sentinelBroker(),
    async fault(stage) {
      const [first] = stage.readers;
      sever(first);
      await stage.writes(300);
      stage.broker.replication.sever();
      await stage.writes(1_600);
      await stage.redis.kill();
      stage.writers.forEach(sever);
      await takesOver(stage.broker.replica);
      heal(first);
      await stage.last(4_000);
    },
    heal: (stage) => stage.writers.forEach(heal),
  },
  {
    name: 'hung-sentinel',
    title: 'the first Sentinel accepts and never answers while links break',
    broker: () => sentinelBroker(),
    async fault(stage) {
      stage.broker.firstSentinel.blackHole();
      for (const { links } of stage.applications) {
        for (const link of links) link.drop();
      }
      await stage.writes(1_200);
    },
    // The clients must use the second Sentinel: the first one stays silent.
  },
  clusterFailover('cluster-failover', 'Cluster failover, classic Pub/Sub'),
  clusterFailover(
    'cluster-failover-sharded',
    'Cluster failover, sharded Pub/Sub',
    { sharded: true },
  ),
  clusterMigration(
    'cluster-migration',
    "Cluster: the journal's slot migrates, classic Pub/Sub",
  ),
  clusterMigration(
    'cluster-migration-sharded',
    "Cluster: the journal's slot migrates, sharded Pub/Sub",
    { sharded: true },
  ),
];

function sever({ links }) {
  for (const link of links) link.sever();
}

function heal({ links }) {
  for (const link of links) link.heal();
}

function takesOver(replica) {
  return until('the replica to take over', async () => {
    return (await replica.info('replication', 'role')) === 'master';
  });
}

function clusterFailover(name, title, options) {
  return {
    name,
    title: `${title}: the journal's master killed`,
    options,
    broker: ({ journal }) => clusterBroker(journal),
    async fault(stage) {
      await stage.redis.kill();
      await stage.writes(1_200);
    },
    heal: ({ broker }) => takesOver(broker.replica),
  };
}

function clusterMigration(name, title, options) {
  return {
    name,
    title,
    options,
    broker: ({ journal }) => clusterBroker(journal),
    async fault(stage) {
      const { redis: from, masters, slot } = stage.broker;
      const to = masters.find((master) => master !== from);
      const fromId = await from.admin.cluster('MYID');
      const toId = await to.admin.cluster('MYID');
      await to.admin.cluster('SETSLOT', slot, 'IMPORTING', fromId);
      await from.admin.cluster('SETSLOT', slot, 'MIGRATING', toId);
      await stage.writes(400);
      const keys = await from.admin.cluster('GETKEYSINSLOT', slot, 10);
      if (keys.length > 0) {
        await from.admin.migrate(HOST, to.port, '', 0, 5_000, 'KEYS', ...keys);
      }
      // Each command for this slot is now answered by ASK.
      await stage.writes(400);
      for (const { admin } of [to, from, ...masters]) {
        await admin.cluster('SETSLOT', slot, 'NODE', toId);
      }
      await stage.writes(400);
    },
  };
}
