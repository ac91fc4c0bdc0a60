import { describe, expect, it, onTestFinished } from 'vitest';
import { triggerSql } from 'nestjs-cache-invalidation/postgres';
import { eventually } from '../support/eventually.js';
import { openPglite } from '../support/pglite.js';
import { useServer } from './setup.js';
import {
  killable,
  startDrain,
  triggerTable,
  untilDraining,
} from './triggers.js';

const server = useServer({ shared_preload_libraries: 'pg_stat_statements' });

/** The outbox is not looked into by itself while a test runs. */
const PATIENT = { poll: 60_000, heartbeat: 60_000, timeout: 120_000 };

describe('a drain that is woken up by NOTIFY', () => {
  it('announces changes at once', async () => {
    const { options, sql } = await triggerTable(server(), { wakeUp: true });
    const app = await startDrain({ ...options, ...PATIENT });
    for (let id = 1; id <= 3; id++) {
      await sql(`insert into TABLE values (${id})`);
      expect(await app.next()).toEqual([`User:${id}`]);
    }
  });

  it('looks again after a commit that it did not see yet', async () => {
    const { options, sql } = await triggerTable(server());
    const real = await killable(server());
    let notify = (): void => {};
    let isNext = false;
    const app = await startDrain({
      ...options,
      ...PATIENT,
      wakeUp: true,
      database: {
        ...real,
        listen: async (_, onNotified) => {
          notify = onNotified;
          return async () => {};
        },
        query: async (text, values) => {
          const result = await real.query(text, values);
          if (isNext) {
            isNext = false;
            await sql('insert into TABLE values (1)');
            notify();
          }
          return result;
        },
      },
    });
    isNext = true;
    notify();
    expect(await app.next()).toEqual(['User:1']);
  });

  it('goes on by poll when its connection is lost, and listens again', async () => {
    const { options, sql } = await triggerTable(server(), { wakeUp: true });
    const slow = { poll: 2_000, heartbeat: 2_000 };
    const app = await startDrain({ ...options, ...slow });
    await sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nestjs-cache-invalidation' and query ~ 'TABLE'`,
    );
    await sql('insert into TABLE values (1)');
    expect(await app.next()).toEqual(['User:1']);
    const startedAt = performance.now();
    for (let id = 2; id <= 5; id++) {
      await sql(`insert into TABLE values (${id})`);
      expect(await app.next()).toEqual([`User:${id}`]);
    }
    expect(performance.now() - startedAt).toBeLessThan(2 * slow.poll);
    await untilDraining(app);
  });

  it('is notified once for a transaction', async () => {
    const { table, outbox } = await triggerTable(server(), { wakeUp: true });
    const listener = await server().connect();
    const writer = await server().connect();
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query(`listen ${outbox.slice('public.'.length)}`);
    await writer.query('begin');
    for (let id = 1; id <= 5; id++) {
      await writer.query(`insert into ${table} values (${id})`);
    }
    await writer.query('commit');
    await writer.query(`begin; insert into ${table} values (6); rollback`);
    await writer.query(
      `select pg_notify('${outbox.slice('public.'.length)}', 'end')`,
    );
    await eventually(() => expect(heard).toContain('end'));
    expect(heard).toEqual(['', 'end']);
  });

  it('polls where the database cannot listen, or nothing notifies', async () => {
    const { options, sql, outbox } = await triggerTable(server(), {
      wakeUp: true,
    });
    await server().sql(triggerSql(options.tables, { outbox }));
    const app = await startDrain(options);
    await sql('insert into TABLE values (1)');
    expect(await app.next()).toEqual(['User:1']);
    await app.close();
    const database = await killable(server());
    const { channel } = app;
    const next = await startDrain({ ...options, database }, { channel }, 0);
    await sql('insert into TABLE values (2)');
    expect(await next.next()).toEqual(['User:2']);
  });

  it('works on PGlite', async () => {
    const database = await openPglite();
    onTestFinished(() => database.close());
    await database.exec('create table users (id int primary key)');
    const tables = { 'public.users': 'User' };
    await database.exec(triggerSql(tables, { wakeUp: true }));
    const app = await startDrain({
      mode: 'triggers',
      database,
      tables,
      wakeUp: true,
      ...PATIENT,
    });
    await database.exec('insert into users values (1)');
    expect(await app.next()).toEqual(['User:1']);
    await app.close();
    await database.exec('insert into users values (2)');
  });
});

describe('an empty outbox', () => {
  it('costs each instance one query, and no transaction around it', async () => {
    const { options, sql, table } = await triggerTable(server());
    const first = await startDrain({ ...options, heartbeat: 500 });
    const { channel } = first;
    await startDrain({ ...options, heartbeat: 500 }, { channel }, 0);
    await sql('create extension if not exists pg_stat_statements');
    await sql('select pg_stat_statements_reset()');
    const statements = () =>
      sql(
        `select query, calls::int, rows::int from pg_stat_statements
         where query !~ 'pg_stat_statements' order by calls desc`,
      );
    await eventually(async () =>
      expect((await statements())[0]?.['calls']).toBeGreaterThan(100),
    );
    const [look, ...checks] = await statements();
    expect(look).toMatchObject({
      query: expect.stringContaining(`${table}_outbox" order by xid, id limit`),
      rows: 0,
    });
    // The triggers and the backlog, once a heartbeat.
    expect(checks.map(({ query }) => String(query)).toSorted()).toEqual([
      expect.stringContaining('txid_current_snapshot()'),
      expect.stringContaining('pg_trigger'),
    ]);
    for (const { calls } of checks) {
      expect(calls).toBeLessThan((look!['calls'] as number) / 10);
    }
  });
});
