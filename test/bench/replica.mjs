import { setTimeout as delay } from 'node:timers/promises';
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { postgresReplica } from 'nestjs-cache-invalidation/postgres';
import pg from 'pg';
import { startApp } from './apps.mjs';
import { interleaved, perSecond } from './measure.mjs';
import { startWithStandby } from './postgres-server.mjs';

const LAGS_MS = [0, 50, 500];
const ROWS = 400;
const WRITES_PER_SECOND = 200;
const READS_PER_SECOND = 4_000;
/** Prime to the number of rows: each of them is read, and written once, in an order of its own. */
const WRITE_STEP = 7;
const READ_STEP = 131;
/** Longer than a cache waits before it asks the standby again. */
const NOTICED_MS = 1_000;
const CONTESTANTS = {
  'without `replica`': () => ({}),
  '`replica`': ({ standby }) => ({ replica: standby }),
  '`replica` and `primary`': ({ standby, fromPrimary }) => ({
    replica: standby,
    primary: fromPrimary,
  }),
};

/**
 * Loads of a standby that lags, while its rows are written. Each figure has a third of
 * the rounds, since a round takes seconds.
 */
export async function replica(url, rounds) {
  const app = await startApp(url);
  const rows = [];
  try {
    for (const lag of LAGS_MS) {
      const results = await measured(app, lag, Math.ceil(rounds / 3));
      for (const [name, result] of Object.entries(results)) {
        rows.push([`${lag} ms, ${name}`, ...cellsOf(result)]);
      }
    }
  } finally {
    await app.close();
  }
  return {
    title: 'Loads of a read replica',
    note: `A PostgreSQL and a standby that replays commits after recovery_min_apply_delay. Each of ${ROWS} rows is written once, ${WRITES_PER_SECOND} a second, and its invalidation published without a position after the commit; meanwhile one instance reads ${perSecond(READS_PER_SECOND)} rows a second through a near cache, whose loader reads the standby. Old entries: those in memory once the standby has every commit. Later: the rows are read once more then.`,
    columns: [
      'reads',
      'loads of the standby',
      'not kept',
      'loads of the primary',
      'share of reads',
      'old entries',
      'primary loads later',
    ],
    rows,
  };
}

async function measured({ app, publisher }, lag, rounds) {
  const { primary, standby, stop } = await startWithStandby(lag);
  const pools = [primary, standby].map((connectionString) => {
    return new pg.Pool({ connectionString, max: 4 });
  });
  const [writes, reads] = pools;
  await writes.query('create table users (id int primary key, version int)');
  await writes.query(
    `insert into users select n, 0 from generate_series(0, ${ROWS - 1}) n`,
  );
  const parts = {
    publisher,
    writes,
    reads,
    caches: app.get(NearCacheFactory),
    standby: postgresReplica(reads, { primary: writes }),
    fromPrimary: (id) => versionIn(writes, id),
  };
  await caughtUp(parts);
  try {
    return await interleaved(
      rounds,
      Object.fromEntries(
        Object.entries(CONTESTANTS).map(([name, optionsOf]) => [
          name,
          () => play(parts, optionsOf(parts)),
        ]),
      ),
    );
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
    await stop();
  }
}

async function play(parts, options) {
  const cache = parts.caches.create('User', options);
  const load = (id) => cache.get(id, () => versionIn(parts.reads, id));
  await readAll(load);
  await caughtUp(parts);
  await readAll(load);
  const before = cache.stats;
  let isWriting = true;
  const reading = readSteadily(load, () => isWriting);
  await writeSteadily(parts);
  isWriting = false;
  const count = await reading;
  await caughtUp(parts);
  const after = cache.stats;
  const old = await oldEntries(parts, cache);
  await readAll(load);
  const last = cache.stats;
  cache.close();
  return {
    reads: count,
    loads: after.loads - before.loads,
    behind: after.behind - before.behind,
    primaryLoads: after.primaryLoads - before.primaryLoads,
    old,
    later: last.primaryLoads - after.primaryLoads,
  };
}

async function readAll(load) {
  for (let id = 0; id < ROWS; id++) await load(id);
}

/** @returns the number of reads */
async function readSteadily(load, goesOn) {
  const began = performance.now();
  const errors = [];
  let count = 0;
  while (goesOn()) {
    const due = ((performance.now() - began) * READS_PER_SECOND) / 1_000;
    for (; count < due; count++) {
      load((count * READ_STEP) % ROWS).catch((error) => errors.push(error));
    }
    await delay(1);
  }
  if (errors.length > 0) throw errors[0];
  return count;
}

async function writeSteadily({ writes, publisher }) {
  const began = performance.now();
  for (let count = 0; count < ROWS; count++) {
    const due = began + (count * 1_000) / WRITES_PER_SECOND;
    await delay(Math.max(0, due - performance.now()));
    const id = (count * WRITE_STEP) % ROWS;
    await writes.query('update users set version = version + 1 where id = $1', [
      id,
    ]);
    await publisher.invalidate('User', id);
  }
}

async function versionIn(pool, id) {
  const { rows } = await pool.query('select version from users where id = $1', [
    id,
  ]);
  return rows[0].version;
}

/** Waits until the standby has every commit, and the cache has had time to notice. */
async function caughtUp({ writes, reads }) {
  const sum = async (pool) => {
    const text = 'select sum(version) from users';
    const { rows } = await pool.query(text).catch(() => ({ rows: [{}] }));
    return rows[0].sum;
  };
  const wanted = await sum(writes);
  while ((await sum(reads)) !== wanted) await delay(10);
  await delay(NOTICED_MS);
}

async function oldEntries({ writes }, cache) {
  const { rows } = await writes.query('select id, version from users');
  return rows.filter(({ id, version }) => {
    const kept = cache.peek(id);
    return kept !== undefined && kept !== version;
  }).length;
}

function cellsOf({ reads, loads, behind, primaryLoads, old, later }) {
  return [
    perSecond(reads),
    perSecond(loads),
    perSecond(behind),
    perSecond(primaryLoads),
    `${((100 * primaryLoads) / reads).toFixed(1)} %`,
    perSecond(old),
    perSecond(later),
  ];
}
