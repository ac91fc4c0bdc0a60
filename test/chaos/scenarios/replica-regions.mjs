import { checkRegions } from '../region-checks.mjs';
import { regionsBroker } from '../regions.mjs';
import { until } from '../wait.mjs';
import { besidePostgres } from './in-postgres.mjs';
import { inReplicas, RATES } from './in-replicas.mjs';

const LOST = 100;
/** Rows arrive in the other region long after their invalidation. */
const LAG_MS = 500;

/** The database is in `eu`, its standby in `us`. */
const INSTANCES = [
  { name: 'eu-writer', region: 'eu', writes: true, ...RATES },
  { name: 'us-writer', region: 'us', writes: true, relays: false, ...RATES },
  { name: 'us-reader', region: 'us', loadsPrimary: true, ...RATES },
];

export const replicaRegions = [
  inReplicaRegions({
    name: 'replica-regions',
    title: `replica: two regions, rows ${LAG_MS} ms behind`,
    fault: (stage) => stage.writes(LOST),
  }),
  inReplicaRegions({
    name: 'replica-regions-cut',
    title: `replica: two regions, rows ${LAG_MS} ms behind, the link is cut`,
    async fault(stage) {
      for (const link of ways(stage)) link.sever();
      await stage.writes(LOST);
    },
    heal: (stage) => ways(stage).forEach((link) => link.heal()),
  }),
  inReplicaRegions({
    name: 'replica-regions-relay-killed',
    title: `replica: two regions, rows ${LAG_MS} ms behind, the relay is killed`,
    async fault(stage) {
      const relay = await until('a relay', () => relayOf(stage));
      await stage.writes(LOST / 2);
      await relay.kill();
      await stage.launch({ ...INSTANCES[2], name: 'us-another' });
      await stage.writes(LOST / 2);
    },
  }),
];

function inReplicaRegions({ name, title, fault, heal }) {
  return inReplicas({
    name,
    title,
    fault,
    heal,
    instances: INSTANCES,
    postgres: { lag: LAG_MS },
    broker: async (stage) =>
      besidePostgres(
        stage,
        await regionsBroker(stage, ['eu', 'us'], {
          late: [{ name: 'late-us', region: 'us' }],
        }),
      ),
    verify: (stage) => (stage.broken ? [] : checkRegions(stage, {})),
  });
}

function ways({ broker }) {
  return broker.between('eu', 'us');
}

/** A reader that relays one region into the other, and can be killed. */
async function relayOf({ readers }) {
  for (const reader of readers) {
    if (reader.writes || reader.region !== 'us') continue;
    if ((await reader.relayed()).includes('eu')) return reader;
  }
  return null;
}
