import { setTimeout as sleep } from 'node:timers/promises';
import { change, plays, weighted } from '../postgres/plays.mjs';
import { columns, TABLES } from '../postgres/tables.mjs';
import { inPostgres, LATE_MS } from './in-postgres.mjs';

const LOST = 200;
const MANY_ROWS = 100_000;
/** First id of rows that no instance caches. */
const BEYOND = 1_000_000;
const LONG_ONES = 50;
const ROWS_OF_ONE = 8;

export const postgresLoad = [
  inPostgres({
    name: 'postgres-truncate',
    title: 'PostgreSQL: TRUNCATE of each table under load',
    postgres: { widens: true },
    async fault(stage) {
      for (const type of Object.keys(TABLES)) {
        await stage.psql.play(async (tx) => {
          const rows = await tx.takeAll(type);
          await tx.begin();
          await tx.truncate(rows);
          // Some of them come back at once.
          for (const row of rows.slice(0, 50)) await tx.insert(row);
          await tx.commit();
        });
        await stage.writes(20);
      }
    },
  }),
  inPostgres({
    name: 'postgres-ddl',
    title: 'PostgreSQL: definitions of tables changed under load',
    postgres: { widens: true },
    async fault(stage) {
      const [first, second, third, fourth] = Object.values(TABLES);
      // A session that knew the table before may be told so once.
      stage.psql.expected = /^(0A000|42P01|40P01|XX000|23505)?$/;
      const sql = async (text) => {
        await stage.server.sql(text);
        await stage.writes(20);
      };
      await sql(`alter table ${first} add column more text default 'x'`);
      await sql(`alter table ${second} alter column note type varchar(90)`);
      await sql(`alter table ${second} replica identity full`);
      await sql(`alter table ${first} drop column more`);
      await sql(`alter table ${third} alter column id type bigint`);
      await sql(`create index on ${third} (version)`);
      await sql(`alter table ${second} replica identity default`);
      await sql(`begin;
        lock table ${fourth};
        create table swapped (${columns()});
        insert into swapped select * from ${fourth};
        drop table ${fourth};
        alter table swapped rename to ${fourth};
        commit`);
    },
  }),
  inPostgres({
    name: 'postgres-hundred-thousand',
    title: 'PostgreSQL: transactions of 100,000 rows under load',
    postgres: {
      widens: true,
      prepare: ({ server }) =>
        server.sql(
          `insert into ${TABLES.User}
           select ${BEYOND} + n, 1 from generate_series(1, ${MANY_ROWS}) n`,
        ),
    },
    async fault(stage) {
      for (let i = 0; i < 2; i++) {
        await stage.psql.play(async (tx) => {
          const rows = (await tx.takeAll('User')).filter(tx.rows.isThere);
          await tx.begin();
          await tx.query(
            `update ${TABLES.User} set version = 2 where id > ${BEYOND}`,
          );
          // The cached ones are the last.
          await tx.updateAll(rows);
          await tx.commit();
        });
        await stage.writes(LOST / 2);
      }
    },
  }),
  inPostgres({
    name: 'postgres-long-transactions',
    title: 'PostgreSQL: 50 long transactions at a time, amid short ones',
    postgres: { late: LATE_MS, isExact: true },
    async fault(stage) {
      await Promise.all(
        Array.from({ length: LONG_ONES }, () => stage.psql.play(long)),
      );
    },
  }),
  inPostgres({
    name: 'postgres-savepoints',
    title: 'PostgreSQL: rollbacks and savepoints, the holder killed amid them',
    postgres: {
      isExact: true,
      chooses: weighted({ savepoints: 3, rollback: 1 }),
    },
    fault: killed,
    heal: (stage) => stage.launch({ name: 'four' }),
  }),
  inPostgres({
    name: 'postgres-prepared',
    title: 'PostgreSQL: two-phase commits, the server killed amid them',
    postgres: { chooses: () => plays.prepared, widens: true },
    async fault(stage) {
      await stage.writes(LOST / 2);
      await stage.killServer();
    },
  }),
];

async function killed(stage) {
  await stage.writes(LOST / 2);
  await (await stage.held()).kill();
  await stage.writes(LOST / 2);
}

/** A transaction that lasts, and changes rows all the time. */
async function long(tx) {
  await tx.begin();
  for (const row of tx.takeSome(ROWS_OF_ONE)) {
    await change(tx, row);
    await sleep(300 * tx.random());
  }
  await tx.commit();
}
