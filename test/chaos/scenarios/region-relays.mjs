/** 16: regions, whose relays fail, and more than two of them. */
import { until } from '../wait.mjs';
import { cutOff, heal, inRegions, LOST } from './in-regions.mjs';

/** Rates of one of many instances. */
const SLOWLY = { readsPerSecond: 3_000, writesPerSecond: 300 };
const WRITES_SLOWLY = { ...SLOWLY, writes: true };
/** Writers do not relay here: one that is killed would lose its outbox. */
const RELAYED = [
  { name: 'eu-writer', region: 'eu', writes: true, relays: false },
  { name: 'eu-relay-1', region: 'eu' },
  { name: 'eu-relay-2', region: 'eu' },
  { name: 'us-writer', region: 'us', writes: true },
];
const FROM_US = [['us', 'eu']];
const PARTS_OF_MESH = [
  ['us', 'eu'],
  ['eu', 'ap'],
];

export const regionRelays = [
  inRegions({
    name: 'regions-relay-stopped',
    title: 'two regions: the relay stops (SIGSTOP), goes on beside another one',
    instances: RELAYED,
    // A relay that is stopped while Redis answers its heartbeat connects anew, and
    // has nothing left to forward.
    options: { heartbeatInterval: 2_000, heartbeatTimeout: 1_000 },
    async fault(stage) {
      for (let i = 0; i < (stage.long ? 8 : 2); i++) {
        const holder = await holderOf(stage);
        holder.pause();
        await holderOf(stage, holder);
        await stage.writes(200);
        holder.resume();
        await until('the first relay to stand by', async () => {
          return (await holder.relayed()).length === 0;
        });
      }
    },
  }),
  inRegions({
    name: 'regions-relay-killed',
    title:
      'two regions: the relay killed (SIGKILL) repeatedly while it catches up',
    instances: RELAYED,
    async fault(stage) {
      for (let i = 0; i < (stage.long ? 12 : 2); i++) {
        const holder = await holderOf(stage);
        stage.broker.way('us', 'eu').sever();
        await stage.writes(LOST / 2);
        const before = await stage.broker.record('us', 'eu');
        heal(stage, FROM_US);
        await until('the relay to forward', async () => {
          return (await stage.broker.record('us', 'eu')) !== before;
        });
        await holder.kill();
        await stage.launch({ name: `eu-relay-${3 + i}`, region: 'eu' });
      }
      await holderOf(stage);
    },
  }),
  inRegions({
    name: 'regions-added',
    title: 'two regions, and a third one is added under load',
    names: ['eu', 'us', 'ap'],
    instances: [
      { name: 'eu-writer', region: 'eu', sources: ['us'], ...WRITES_SLOWLY },
      { name: 'us-writer', region: 'us', sources: ['eu'], ...WRITES_SLOWLY },
    ],
    async fault(stage) {
      const writer = { name: 'ap-writer', region: 'ap', ...WRITES_SLOWLY };
      await (await stage.launch(writer)).startWriting();
      await Promise.all(
        ['eu', 'us'].map((region) =>
          stage.launch({ name: `${region}-reader`, region, ...SLOWLY }),
        ),
      );
      await stage.broker.heard(stage);
      await stage.writes(LOST / 2);
    },
  }),
  inRegions({
    name: 'regions-mesh',
    title: 'three regions: two of the six ways between them are cut',
    names: ['eu', 'us', 'ap'],
    instances: ['eu', 'us', 'ap'].map((region) => ({
      name: `${region}-writer`,
      region,
      ...WRITES_SLOWLY,
    })),
    fault: (stage) => cutOff(stage, PARTS_OF_MESH),
    heal: (stage) => heal(stage, PARTS_OF_MESH),
  }),
  inRegions({
    name: 'regions-hub',
    title: 'a hub and two spokes: a link is cut, all relays lose connections',
    names: ['hub', 'eu', 'us'],
    servers: { transit: ['hub'] },
    instances: [
      { name: 'hub-reader', region: 'hub', ...SLOWLY },
      { name: 'eu-writer', region: 'eu', sources: ['hub'], ...WRITES_SLOWLY },
      { name: 'us-writer', region: 'us', sources: ['hub'], ...WRITES_SLOWLY },
    ],
    late: [{ name: 'late-eu', region: 'eu', sources: ['hub'] }],
    async fault(stage) {
      await cutOff(stage, [['hub', 'eu']]);
      for (const spoke of ['eu', 'us']) {
        for (const link of stage.broker.between('hub', spoke)) link.drop();
      }
      await stage.writes(LOST / 2);
    },
    heal: (stage) => heal(stage, [['hub', 'eu']]),
  }),
];

/**
 * Waits until an instance relays one region into the other.
 *
 * @param except an instance that is stopped, and does not answer
 */
function holderOf({ readers }, except = null) {
  return until('a relay', async () => {
    for (const reader of readers) {
      if (reader === except || reader.region !== 'eu') continue;
      if ((await reader.relayed()).includes('us')) return reader;
    }
    return null;
  });
}
