import { ENTITY_TYPES } from '../database.mjs';
import { plays } from '../postgres/plays.mjs';
import { until } from '../wait.mjs';
import { inReplicas, INSTANCES } from './in-replicas.mjs';

const LOST = 100;
const FEW = 20;
/** Commits that are far from each other. */
const RARE = 60;
/** A standby that takes another one's place. */
const FAR_BEHIND_MS = 3_000;
const STOPPED_MS = 1_000;
const STOPPED_LONG_MS = 10_000;

export const replicas = [
  ...[0, 50, 500].map((lag) =>
    inReplicas({
      name: `replica-lag-${lag}`,
      title: `replica: a standby that is ${lag} ms behind`,
      postgres: { lag },
      fault: (stage) => stage.writes(LOST),
    }),
  ),
  inReplicas({
    name: 'replica-rare-commits',
    title: 'replica: rare commits, at whose beginning the standby waits',
    instances: INSTANCES.map((each) => ({ ...each, writes: false })),
    postgres: {
      types: ENTITY_TYPES,
      chooses: () => plays.update,
      perSecond: 8,
      sessions: 2,
      count: 5,
    },
    fault: (stage) => stage.writes(RARE),
  }),
  inReplicas({
    name: 'replica-triggers',
    title: 'replica: a standby that is 500 ms behind, PostgreSQL by triggers',
    postgres: { lag: 500, mode: 'triggers' },
    fault: (stage) => stage.writes(LOST),
  }),
  inReplicas({
    name: 'replica-stopped',
    title: 'replica: standby stopped (SIGSTOP) and continued',
    async fault(stage) {
      stage.standby.pause();
      await stage.writes(LOST);
      await stage.last(STOPPED_MS, STOPPED_LONG_MS);
    },
    heal: ({ standby }) => standby.resume(),
  }),
  inReplicas({
    name: 'replica-killed',
    title: 'replica: standby killed (SIGKILL) and started again',
    async fault(stage) {
      for (let i = 0; i < 2; i++) {
        await stage.writes(LOST / 2);
        await stage.standby.kill();
        await stage.writes(LOST / 2);
        await stage.standby.start();
      }
    },
  }),
  inReplicas({
    name: 'replica-half-open',
    title: 'replica: connections to the standby half-open, new ones work',
    async fault(stage) {
      stage.reads.freeze();
      await stage.writes(LOST);
    },
  }),
  inReplicas({
    name: 'replica-paused',
    title: 'replica: replay paused, instances started meanwhile',
    async fault(stage) {
      await stage.standby.sql('select pg_wal_replay_pause()');
      await stage.writes(LOST);
      await stage.running[0].kill();
      await stage.launch({ ...INSTANCES[0], name: 'four', alone: true });
      await stage.writes(LOST);
    },
    heal: ({ standby }) => standby.sql('select pg_wal_replay_resume()'),
  }),
  inReplicas({
    name: 'replica-replaced',
    title: 'replica: standby replaced by one that is further behind',
    async fault(stage) {
      const next = await stage.follow(stage.server, FAR_BEHIND_MS);
      // Commits that the first one tells of, and the other one does not have.
      await stage.writes(2 * LOST);
      await stage.standby.kill();
      stage.standby = next;
      stage.readFrom(next);
      await stage.writes(LOST);
    },
  }),
  inReplicas({
    name: 'replica-promoted',
    title: 'replica: standby promoted, another one takes its place',
    // Only psql writes: nobody tells of commits of decorated methods that are lost.
    instances: INSTANCES.map((each) => ({ ...each, writes: false })),
    postgres: { widens: true, types: ENTITY_TYPES },
    comparesPositions: false,
    async fault(stage) {
      const { server, standby } = stage;
      await stage.writes(LOST);
      await server.kill();
      await standby.sql('select pg_promote()');
      await stage.moveTo(standby);
      await stage.writes(LOST);
      stage.readFrom(await stage.follow());
      await stage.writes(LOST);
    },
  }),
  inReplicas({
    name: 'replica-balanced',
    title: 'replica: two standbys, one 3 s behind, under one address',
    instances: INSTANCES.map((each) => ({ ...each, loadsPrimary: true })),
    comparesPositions: false,
    isPromised: () => false,
    async fault(stage) {
      const other = await stage.follow(stage.server, FAR_BEHIND_MS);
      stage.readFrom(stage.standby, other);
      // A pool that has little to do keeps to one connection, and so to one server.
      await until('every instance to meet both standbys by turns', async () => {
        stage.reads.drop();
        await stage.writes(FEW);
        return (await unnoticed(stage)).length === 0;
      });
    },
  }),
];

/** Instances that have not noticed yet that several servers answer. */
async function unnoticed({ applications }) {
  const left = [];
  for (const application of applications.slice(0, INSTANCES.length)) {
    const { causes } = await application.report();
    if (!(causes.CACHE_INVALIDATION_POSTGRES > 0)) left.push(application);
  }
  return left;
}
