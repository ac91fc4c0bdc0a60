import { TABLES } from '../postgres/tables.mjs';
import { KEEPING_DATA } from '../redis.mjs';
import { ASYNCHRONOUS, inPostgres } from './in-postgres.mjs';
import { promoted } from './postgres-promoted.mjs';

const LOST = 300;
/** Time in which a check of the triggers must have come. */
const NOTICED_MS = 700;
/** Time between two drains of an instance. */
const RARELY_MS = 1_000;

export const postgresTriggers = [
  byTriggers({
    name: 'postgres-triggers-killed',
    title: 'PostgreSQL by triggers: drains killed at random',
    postgres: { isExact: true },
    async fault(stage) {
      for (let i = 0; i < 2; i++) {
        await stage.writes(50 + Math.floor(stage.random() * 100));
        await stage.running[0].kill();
      }
    },
    heal: (stage) =>
      Promise.all(['four', 'five'].map((name) => stage.launch({ name }))),
  }),
  byTriggers({
    name: 'postgres-triggers-server-killed',
    title:
      'PostgreSQL by triggers: server killed (SIGKILL) amid asynchronous commits',
    // Each commit of a drain writes the log.
    postgres: { ...ASYNCHRONOUS, source: { poll: RARELY_MS } },
    async fault(stage) {
      await stage.writes(100 + Math.floor(stage.random() * 100));
      await stage.killServer();
    },
  }),
  promoted({
    name: 'postgres-triggers-promoted',
    title:
      'PostgreSQL by triggers: standby promoted that lacks the last commits',
    mode: 'triggers',
  }),
  byTriggers({
    name: 'postgres-triggers-redis-away',
    title: 'PostgreSQL by triggers: Redis killed and restarted with its data',
    redis: { args: KEEPING_DATA },
    postgres: { isExact: true },
    async fault(stage) {
      await stage.redis.kill();
      await stage.writes(LOST);
      await stage.last(NOTICED_MS, 20_000);
    },
    heal: ({ redis }) => redis.start(),
  }),
  byTriggers({
    name: 'postgres-triggers-disabled',
    title: 'PostgreSQL by triggers: triggers disabled and enabled again',
    postgres: { widens: true },
    async fault(stage) {
      for (const table of Object.values(TABLES)) {
        await stage.server.sql(`alter table ${table} disable trigger user`);
      }
      await stage.writes(LOST);
      await stage.last(NOTICED_MS);
    },
    async heal({ server }) {
      for (const table of Object.values(TABLES)) {
        await server.sql(`alter table ${table} enable trigger user`);
      }
    },
  }),
];

function byTriggers({ postgres, ...scenario }) {
  return inPostgres({
    ...scenario,
    postgres: { mode: 'triggers', ...postgres },
  });
}
