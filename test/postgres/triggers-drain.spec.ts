import type pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  dropTriggerSql,
  triggerSql,
  type PostgresDatabase,
} from 'nestjs-cache-invalidation/postgres';
import { parseLsn } from '../../lib/message/index.js';
import { takeBatch } from '../../lib/postgres/triggers/outbox-batch.js';
import { firstTryOf } from '../../lib/postgres/triggers/trigger-drain.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import { startSourceApp, uniqueName, useServer } from './setup.js';
import {
  killable,
  startDrain,
  triggerTable,
  untilDraining,
} from './triggers.js';

const server = useServer();

/** The server behind a proxy. */
async function proxied() {
  const { port, url } = server();
  const proxy = await startProxy(port);
  onTestFinished(() => proxy.close());
  return { proxy, connection: url.replace(`:${port}`, `:${proxy.port}`) };
}

describe('the drain of the outbox', () => {
  it('announces transactions that commit in another order than they began', async () => {
    const { options, table, sql } = await triggerTable(server());
    const app = await startDrain(options);
    const early = await server().connect();
    await early.query(`begin; insert into ${table} values (1)`);
    await sql('insert into TABLE values (2)');
    expect(await app.next()).toEqual(['User:2']);
    await sql('insert into TABLE values (3)');
    expect(await app.next()).toEqual(['User:3']);
    await early.query('commit');
    expect(await app.next()).toEqual(['User:1']);
  });

  it('announces the position of the log after the commit, within the last record', async () => {
    const { options, table } = await triggerTable(server());
    const app = await startDrain(options);
    const client = await server().connect();
    const end = async () => {
      const { rows } = await client.query<{ lsn: string }>(
        'select pg_current_wal_insert_lsn()::text as lsn',
      );
      return parseLsn(rows[0]!.lsn)!;
    };
    await client.query(`begin; insert into ${table} values (1)`);
    const before = await end();
    await client.query('commit');
    await app.next();
    const position = parseLsn(app.messages.at(-1)!.at!['pg']!)!;
    expect(position).toBeGreaterThanOrEqual(before);
    expect(position).toBeLessThan(await end());
  });

  it('announces changes without a position where the database tells none', async () => {
    const { options, sql } = await triggerTable(server());
    const client = await server().connect();
    const run = (text: string, values?: unknown[]) =>
      text.includes('pg_current_wal_insert_lsn')
        ? client.query('select not_there()')
        : client.query(text, values);
    const database: PostgresDatabase = {
      query: run,
      async transaction(work) {
        await client.query('begin');
        const result = await work({ query: run });
        await client.query('commit');
        return result;
      },
    };
    const app = await startDrain({ ...options, database });
    await sql('insert into TABLE values (1)');
    await sql('insert into TABLE values (2)');
    await app.next();
    await eventually(() => expect(app.said.at(-1)).toMatch(/2$/));
    expect(app.messages.map(({ at }) => at)).not.toContainEqual(
      expect.anything(),
    );
  });

  it('announces a batch once that was published by a drain that was killed then', async () => {
    const { options, sql } = await triggerTable(server());
    const database = await killable(server());
    // It does not try again.
    const patience = { heartbeat: 60_000, timeout: 120_000 };
    const app = await startDrain({ ...options, ...patience, database });
    database.failures = 1;
    await sql(
      'begin; insert into TABLE values (1); insert into TABLE values (2); commit',
    );
    await eventually(() => expect(database.failures).toBe(0));
    await app.publisher.invalidate('Other', 0);
    await sql('insert into TABLE values (3)');
    await app.close();
    const next = await startDrain(options, { channel: app.channel }, 0);
    await eventually(() => expect(next.said.at(-1)).toBe('User:3'));
    expect(await sql('select * from OUTBOX')).toEqual([]);
    expect([...app.said.slice(1), ...next.said]).toEqual([
      'user:1,user:2',
      'Other:0',
      'User:3',
    ]);
  });

  itOnRedisServer('loses nothing while Redis is away', async () => {
    const redis = await startServer();
    const { options, sql } = await triggerTable(server());
    const app = await startDrain(
      { ...options, heartbeat: 100, timeout: 500 },
      { connection: redis.url, heartbeatTimeout: 500, heartbeatInterval: 200 },
    );
    redis.pause();
    await sql('insert into TABLE values (1)');
    await eventually(() => expect(app.source.status().state).toBe('away'));
    await sql('insert into TABLE values (2)');
    expect(await sql('select * from OUTBOX')).toHaveLength(2);
    redis.resume();
    await app.next(2);
    await untilDraining(app);
    await sql('insert into TABLE values (3)');
    await app.next();
    expect(app.said.slice(1)).toEqual(['User:1', 'User:2', 'User:3']);
    expect(app.source.status().fault).toBeNull();
  });

  it('is done by several instances at once, each transaction by one of them', async () => {
    const { options, sql } = await triggerTable(server());
    const first = await startDrain({ ...options, poll: 1 });
    const { channel } = first;
    const second = await startDrain({ ...options, poll: 1 }, { channel }, 0);
    await Promise.all(
      [0, 1, 2, 3].map((writer) =>
        sql(
          `do $$ begin for i in 1..300 loop
             insert into TABLE values (${writer} * 10000 + i), (${writer} * 10000 + 5000 + i); commit;
           end loop; end $$`,
        ),
      ),
    );
    await eventually(() => expect(first.said).toHaveLength(1201));
    expect(new Set(first.said).size).toBe(1201);
    await eventually(() => {
      const counts = [first, second].map(
        ({ source }) => source.status().transactions,
      );
      expect(counts[0]! + counts[1]!).toBe(1200);
      expect(Math.min(...counts)).toBeGreaterThan(0);
    });
  });

  it('says that it announces while there is more', async () => {
    const { options, outbox, sql } = await triggerTable(server());
    const app = await startDrain(options);
    await app.close();
    for (let xid = 0; xid < 2; xid++) {
      await sql(
        `insert into ${outbox} (mapped, kind) select 'public.TABLE', 'truncate' from generate_series(1, 600)`,
      );
    }
    const real = await killable(server());
    let goOn = (): void => {};
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    let batches = 0;
    const next = await startSourceApp(
      {
        ...options,
        database: {
          query: real.query,
          transaction: async (work) => {
            if (batches++ > 0) await gate;
            return real.transaction(work);
          },
        },
      },
      { channel: app.channel },
    );
    await untilDraining(next);
    expect(await sql('select * from OUTBOX')).toHaveLength(600);
    goOn();
    await next.next(2);
  });

  it('never splits the rows of a transaction with another drain', async () => {
    const { outbox } = await triggerTable(server());
    const [first, second] = [
      await server().connect(),
      await server().connect(),
    ];
    for (let xid = 0; xid < 3; xid++) {
      await server().sql(
        `insert into ${outbox} (mapped, kind) select 'x', 'truncate' from generate_series(1, 400)`,
      );
    }
    const take = async (client: pg.Client): Promise<number[]> => {
      const sizes = new Map<string, number>();
      for (const { xid } of await takeBatch(client, outbox, 'null::text')) {
        sizes.set(xid, (sizes.get(xid) ?? 0) + 1);
      }
      return [...sizes.values()];
    };
    await first.query('begin');
    await second.query('begin');
    expect(await take(first)).toEqual([400, 400]);
    expect(await take(second)).toEqual([]);
    await first.query('commit');
    expect(await take(second)).toEqual([400]);
    await second.query('rollback');
    expect(await take(first)).toEqual([400]);
  });

  it('takes the rows of a drain that was cut off, which the server ends', async () => {
    const { options, outbox, sql } = await triggerTable(server());
    const { proxy, connection } = await proxied();
    const first = await startDrain({ ...options, connection, timeout: 1_000 });
    const barrier = await server().connect();
    await barrier.query('select pg_advisory_lock(7)');
    await sql(
      `create function TABLE_wait() returns trigger language plpgsql as
         'begin perform pg_advisory_xact_lock_shared(7); return old; end';
       create trigger wait before delete on ${outbox} for each row execute function TABLE_wait();
       insert into TABLE values (1)`,
    );
    await eventually(async () =>
      expect(
        await server().sql(
          `select 1 from pg_stat_activity where wait_event = 'advisory' and query ~ '${outbox.slice(7)}'`,
        ),
      ).toHaveLength(1),
    );
    // The server deletes the row, and the drain does not hear of it.
    proxy.swallow();
    await barrier.query('select pg_advisory_unlock(7)');
    await eventually(() =>
      expect(first.source.status()).toMatchObject({
        state: 'away',
        fault: { message: expect.stringContaining('outbox') },
      }),
    );
    const { channel } = first;
    const second = await startDrain(options, { channel }, 0);
    expect(await second.next()).toEqual(['User:1']);
  });

  it('starts without PostgreSQL, and begins when it is there', async () => {
    const { options, sql } = await triggerTable(server());
    const { proxy, connection } = await proxied();
    proxy.swallow();
    const app = await startSourceApp({ ...options, connection, timeout: 300 });
    await eventually(() =>
      expect(app.source.status()).toMatchObject({
        state: 'away',
        fault: {
          message: expect.stringMatching(/timeout expired|did not answer/),
        },
      }),
    );
    await sql('insert into TABLE values (1)');
    proxy.pass();
    proxy.cut();
    await untilDraining(app);
    expect(await app.next(2)).toEqual(['user:*', 'User:1']);
    expect(app.source.status().fault).toBeNull();
  });

  it('invalidates everything for a table that this instance does not map', async () => {
    const { options, sql } = await triggerTable(server());
    const other = uniqueName();
    await sql(`create table ${other} (id int primary key)`);
    const tables = { [`public.${other}`]: 'Post' };
    await server().sql(triggerSql(tables, { outbox: options.outbox! }));
    const app = await startDrain(options);
    await sql(`insert into ${other} values (1)`);
    expect(await app.next()).toEqual(['*']);
  });
});

describe('the triggers of a mapped table', () => {
  it('are renewed while transactions are open that write to it', async () => {
    const { options, table, install, sql } = await triggerTable(server());
    const app = await startDrain(options);
    const writer = await server().connect();
    // The writer has a lock of the table, and none of the outbox yet.
    await writer.query(`begin; update ${table} set id = 0 where false`);
    const renewed = install();
    await eventually(async () =>
      expect(
        await sql(
          `select 1 from pg_locks where not granted and relation = 'TABLE'::regclass`,
        ),
      ).toHaveLength(1),
    );
    await writer.query(`insert into ${table} values (2); commit`);
    await renewed;
    await eventually(() => expect(app.said).toContain('User:2'));
  });

  it('are missed at the start: the fault says what to run, and the types are invalidated then', async () => {
    const { options, sql, install } = await triggerTable(server());
    await server().sql(dropTriggerSql({ outbox: options.outbox! }));
    const app = await startSourceApp(options);
    await eventually(() =>
      expect(app.source.status()).toMatchObject({
        state: 'away',
        fault: { message: expect.stringContaining('triggerSql()') },
      }),
    );
    await sql('insert into TABLE values (1)');
    await install();
    await untilDraining(app);
    await sql('insert into TABLE values (2)');
    expect(await app.next(2)).toEqual(['user:*', 'User:2']);
  });

  it.each([
    ['disabled', 'alter table TABLE disable trigger all', 'is disabled'],
    [
      'dropped',
      'drop trigger "TABLE_outbox_update" on TABLE',
      'TABLE_outbox_update is missing',
    ],
  ])('are watched: %s', async (_, command, problem) => {
    const { options, sql, install, table } = await triggerTable(server());
    const app = await startDrain(options);
    await sql(command);
    await eventually(() =>
      expect(app.source.status()).toMatchObject({
        state: 'away',
        fault: {
          message: expect.stringContaining(problem.replace('TABLE', table)),
        },
      }),
    );
    await app.close();
    const next = await startSourceApp(options, { channel: app.channel });
    await sql('update TABLE set id = id');
    await sql('alter table TABLE enable trigger all');
    await install();
    await untilDraining(next);
    expect((await next.next())[0]).toBe('user:*');
    expect(next.source.status()).toMatchObject({
      fault: null,
      widened: { definition: 1 },
    });
  });

  it('are compared with the options', async () => {
    const { options, table } = await triggerTable(server());
    const app = await startSourceApp({ ...options, bulk: 5 });
    await eventually(() =>
      expect(app.source.status().fault?.message).toMatch(
        `public.${table} are not seen`.replace('public.', ''),
      ),
    );
    expect(app.source.status().fault?.message).toContain(
      'does not fit the options',
    );
  });

  it('invalidate the types after they were off for a moment, and after none for a new start', async () => {
    const { options, sql } = await triggerTable(server());
    const app = await startDrain(options);
    await app.close();
    const second = await startDrain(options, { channel: app.channel }, 0);
    await sql('insert into TABLE values (1)');
    expect(await second.next()).toEqual(['User:1']);
    await sql(
      'begin; alter table TABLE disable trigger all; insert into TABLE values (2); alter table TABLE enable trigger all; commit',
    );
    expect(await second.next()).toEqual(['user:*']);
  });
});

describe('a server that crashes, in trigger mode', () => {
  it('may have lost commits that others saw, and their rows of the outbox: the types are invalidated', async () => {
    const { options, sql } = await triggerTable(server());
    const app = await startDrain(options);
    await sql('insert into TABLE values (1)');
    expect(await app.next()).toEqual(['User:1']);
    await server().kill();
    await server().start();
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status().widened).toEqual({
      'first-start': 1,
      restart: 1,
    });
    await sql('insert into TABLE values (2)');
    expect(await app.next()).toEqual(['User:2']);
  });
});

describe('the part of the journal that is searched for rows', () => {
  it.each([
    ['1700000000000-5', 0, '1699999999990-0'],
    ['1700000000000-5', 1_000, '1699999998980-0'],
    ['1700000000000-5', -3, '1699999999990-0'],
    ['0-0', 1_000, '0-0'],
  ])('ends at %s: for rows of %s ms it begins at %s', (tail, age, from) => {
    expect(firstTryOf(tail, age)).toBe(from);
  });
});
