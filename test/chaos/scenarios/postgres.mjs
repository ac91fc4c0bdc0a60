import { SLOT } from '../postgres/stage.mjs';
import { KEEPING_DATA } from '../redis.mjs';
import { foreignMessage } from '../stranger.mjs';
import { until } from '../wait.mjs';
import { ASYNCHRONOUS, inPostgres, LATE_MS } from './in-postgres.mjs';
import { createSlot, promoted } from './postgres-promoted.mjs';

/** Transactions during a fault. */
const LOST = 300;
/** Log that a slot may keep in the scenarios that exceed it. */
const WAL_LIMIT = '2MB';
/** Heartbeats of the source, in which it acknowledges what it should not. */
const BEATS_MS = 700;
const HALF_OPEN_MS = 500;

export const postgres = [
  inPostgres({
    name: 'postgres-holder-killed',
    title:
      'PostgreSQL: holder killed at random, and once while Redis is stopped',
    postgres: { late: LATE_MS, isExact: true },
    async fault(stage) {
      await stage.writes(50 + Math.floor(stage.random() * 50));
      await (await stage.held()).kill();
      const holder = await stage.held();
      stage.redis.pause();
      await stage.writes(100);
      await stage.last(BEATS_MS);
      await holder.kill();
      stage.redis.resume();
    },
    heal: (stage) => launch(stage, ['four', 'five']),
  }),
  inPostgres({
    name: 'postgres-all-killed',
    title: 'PostgreSQL: all instances killed and started again',
    postgres: { isExact: true },
    async fault(stage) {
      await stage.writes(50 + Math.floor(stage.random() * 50));
      await Promise.all(stage.running.map((each) => each.kill()));
      await stage.writes(LOST);
    },
    heal: (stage) => launch(stage, ['four', 'five', 'six']),
  }),
  inPostgres({
    name: 'postgres-slot-dropped',
    title: 'PostgreSQL: slot dropped, in half of the runs made anew by hand',
    postgres: { widens: true },
    async fault(stage) {
      await sever(stage);
      await stage.server.sql('select pg_drop_replication_slot($1)', [SLOT]);
      await stage.writes(LOST);
      if (stage.random() < 0.5) await createSlot(stage.server);
    },
    heal,
  }),
  inPostgres({
    name: 'postgres-wal-limit',
    title: 'PostgreSQL: sources cut off for longer than the limit of the log',
    postgres: {
      settings: { max_slot_wal_keep_size: WAL_LIMIT },
      widens: true,
    },
    async fault(stage) {
      await sever(stage);
      await stage.writes(LOST);
      await exceedLimit(stage.server);
    },
    heal,
  }),
  inPostgres({
    name: 'postgres-redis-away',
    title: 'PostgreSQL: Redis away for longer than the limit of the log',
    // An empty Redis would make all instances evict everything.
    redis: { args: KEEPING_DATA },
    postgres: {
      settings: { max_slot_wal_keep_size: WAL_LIMIT },
      widens: true,
    },
    async fault(stage) {
      await stage.redis.kill();
      await stage.writes(LOST);
      await exceedLimit(stage.server);
    },
    heal: ({ redis }) => redis.start(),
  }),
  inPostgres({
    name: 'postgres-half-open',
    title: 'PostgreSQL: links of the sources half-open',
    postgres: { isExact: true },
    async fault(stage) {
      for (const link of stage.sourceLinks) link.freeze();
      await stage.writes(LOST);
      await stage.last(HALF_OPEN_MS, 10_000);
    },
  }),
  inPostgres({
    name: 'postgres-killed',
    title:
      'PostgreSQL: server killed (SIGKILL) twice amid asynchronous commits',
    postgres: ASYNCHRONOUS,
    async fault(stage) {
      // The server is up again in the end, since psql must be able to stop.
      await stage.writes(100 + Math.floor(stage.random() * 100));
      await stage.killServer();
      await cacheUnwritten(stage);
      await stage.killServer();
      await stage.startWriting();
    },
  }),
  promoted({
    name: 'postgres-promoted',
    title: 'PostgreSQL: standby promoted that lacks the last commits',
  }),
  promoted({
    name: 'postgres-promoted-failover-slot',
    title: 'PostgreSQL: the same with a failover slot',
    hasSlot: true,
  }),
];

async function launch(stage, names) {
  await Promise.all(names.map((name) => stage.launch({ name })));
}

/** Cuts all sources off, and waits until the server has noticed. */
async function sever({ sourceLinks, server }) {
  for (const link of sourceLinks) link.sever();
  await until('the slot to be free', async () => {
    const rows = await server.sql(
      'select 1 from pg_replication_slots where slot_name = $1 and not active',
      [SLOT],
    );
    return rows.length > 0;
  });
}

function heal({ sourceLinks }) {
  for (const link of sourceLinks) link.heal();
}

/** Waits until all caches have commits that a crash of the server takes back. */
async function cacheUnwritten(stage) {
  const { database, redis, server } = stage;
  await server.pauseLogWriter();
  await stage.writes(LOST);
  await stage.stopWriting();
  // The source does not see those commits, and the second tier has older rows.
  await Promise.all(
    database.keys.map((key) =>
      redis.admin.publish(stage.channel, foreignMessage(key)),
    ),
  );
  await stage.haveLast();
}

/** Writes so much else that the server no longer keeps the log that the slot needs. */
function exceedLimit(server) {
  return until('the slot to be lost', async () => {
    await server.sql(
      `create table if not exists other (text text);
       insert into other select repeat('x', 1000) from generate_series(1, 3000);
       checkpoint`,
    );
    const [slot] = await server.sql(
      'select wal_status from pg_replication_slots where slot_name = $1',
      [SLOT],
    );
    return slot.wal_status === 'lost';
  });
}
