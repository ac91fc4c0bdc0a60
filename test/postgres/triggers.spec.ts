import { describe, expect, it } from 'vitest';
import { entity, pattern } from 'nestjs-cache-invalidation';
import { eventually } from '../support/eventually.js';
import { uniqueName, useServer } from './setup.js';
import { triggerSql } from 'nestjs-cache-invalidation/postgres';
import { startDrain, triggerTable, type TriggerMapped } from './triggers.js';

const server = useServer();

/** A table with triggers, and a drain that has published its first widening. */
async function mapped(given: TriggerMapped = {}, widened = 1) {
  const made = await triggerTable(server(), given);
  const app = await startDrain(made.options, {}, widened);
  return { ...made, app };
}

describe('changes of a table with triggers', () => {
  it('are announced, whoever writes them', async () => {
    const { app, sql } = await mapped();
    expect(app.said).toEqual(['user:*']);
    await sql(`insert into TABLE values (1, 'a')`);
    expect(await app.next()).toEqual(['User:1']);
    await sql(`update TABLE set name = 'b'`);
    expect(await app.next()).toEqual(['User:1']);
    await sql(`update TABLE set id = 2`);
    expect(await app.next()).toEqual(['user:1,user:2']);
    await sql(
      `insert into TABLE values (2, 'c'), (3, 'c') on conflict (id) do update set name = 'c'`,
    );
    expect(await app.next()).toEqual(['user:2,user:3']);
    await sql(`delete from TABLE where id = 2`);
    expect(await app.next()).toEqual(['User:2']);
    await sql(`truncate TABLE`);
    expect(await app.next()).toEqual(['user:*']);
    await eventually(() =>
      expect(app.source.status()).toMatchObject({
        state: 'holder',
        fault: null,
        lagBytes: null,
        transactions: 6,
        rows: 7,
        widened: { 'first-start': 1, truncate: 1 },
      }),
    );
    expect(await sql('select * from OUTBOX')).toEqual([]);
    expect(app.messages.at(-1)).toMatchObject({ own: false });
  });

  it('leave together, merged, for each transaction', async () => {
    const { app, sql } = await mapped();
    await sql(
      `begin; insert into TABLE values (1, 'a'), (2, 'b'); update TABLE set name = 'c' where id = 1; savepoint s;
       insert into TABLE values (3, 'c'); rollback to s; insert into TABLE values (4, 'd'); commit`,
    );
    expect(await app.next()).toEqual(['user:1,user:2,user:4']);
    await sql(`begin; insert into TABLE values (5, 'a'); rollback`);
    await sql('update TABLE set name = name where false');
    await sql(`insert into TABLE values (7, 'a')`);
    expect(await app.next()).toEqual(['User:7']);
    await eventually(() => expect(app.source.status().transactions).toBe(2));
  });

  it('invalidate the type beyond bulk rows, and are one row of the outbox', async () => {
    const { app, sql, options } = await mapped({ bulk: 100 });
    await sql(`insert into TABLE select generate_series(1, 100)`);
    expect((await app.next())[0]!.split(',')).toHaveLength(100);
    await app.close();
    await sql(`insert into TABLE select generate_series(101, 50000)`);
    await sql('update TABLE set id = -id where id <= 60');
    expect(await sql('select kind, content from OUTBOX')).toEqual([
      { kind: 'bulk', content: null },
      { kind: 'bulk', content: null },
    ]);
    const next = await startDrain(options, { channel: app.channel }, 0);
    expect(await next.next(2)).toEqual(['user:*', 'user:*']);
    expect(next.source.status().widened).toEqual({ bulk: 2 });
  });

  it('invalidate the type where many statements change more than bulk rows', async () => {
    const { app, sql } = await mapped({ bulk: 10 });
    await sql(
      `do $$ begin for i in 1..700 loop insert into TABLE values (i); end loop; end $$`,
    );
    const said = await app.next();
    expect(new Set(said)).toEqual(new Set(['user:*']));
  });

  it('name composite keys in the order of the key, and follow its changes', async () => {
    const { app, sql } = await mapped({
      columns: 'b int, a text, "c:" int, primary key (a, b)',
      mapping: 'pair',
    });
    await sql(`insert into TABLE values (2, 'x', 0)`);
    expect(await app.next()).toEqual(['pair:x:2']);
    await sql(
      `alter table TABLE drop constraint TABLE_pkey, add primary key (b, a), drop column "c:"`,
    );
    await sql(`insert into TABLE values (4, 'y')`);
    const said = await app.next(2);
    expect(said.toSorted()).toEqual(['pair:*', 'pair:4:y']);
    await sql(`alter table TABLE drop constraint TABLE_pkey`);
    await sql(`insert into TABLE values (5, 'z')`);
    expect(await app.next(2)).toEqual(['pair:*', 'pair:*']);
  });

  it('are seen in partitions, too', async () => {
    const { app, sql, install } = await mapped({
      more: 'partition by range (id)',
    });
    await sql(
      `create table TABLE_1 partition of TABLE for values from (0) to (100)`,
    );
    await install();
    await sql(`insert into TABLE values (1, 'a')`);
    await sql(`insert into TABLE_1 values (2, 'a')`);
    await sql(`truncate TABLE_1`);
    const said = await app.next(4);
    expect(said.filter((each) => each !== 'user:*')).toEqual([
      'User:1',
      'User:2',
    ]);
    expect(app.source.status().widened).toMatchObject({ truncate: 1 });
  });

  it('are named safely', async () => {
    const schema = `a"b'%$$_${uniqueName()}`;
    const id = `i"d'%s`;
    await server().sql(
      `create schema "${schema.replaceAll('"', '""')}"; create table "${schema.replaceAll('"', '""')}"."T 'x'$capture$" ("${id.replaceAll('"', '""')}" int primary key)`,
    );
    const outbox = `public.${uniqueName()}`;
    const tables = { [`${schema}.T 'x'$capture$`]: 'User' };
    await server().sql(triggerSql(tables, { outbox, role: 'postgres' }));
    const app = await startDrain({
      mode: 'triggers',
      connection: server().url,
      tables,
      outbox,
    });
    await server().sql(
      `insert into "${schema.replaceAll('"', '""')}"."T 'x'$capture$" values (1)`,
    );
    expect(await app.next()).toEqual(['User:1']);
  });
});

describe('a mapper of a table with triggers', () => {
  it('receives old and new rows, with values as node-postgres reads them', async () => {
    const rows: Record<string, unknown>[] = [];
    const { app, sql } = await mapped(
      {
        columns: `id bigint primary key, flag boolean, day timestamptz, tags text[], pad char(4), price numeric(6,2), data jsonb, raw bytea, gone text`,
        mapping: {
          map: (row) => {
            rows.push({ ...row });
            return [
              entity('User', row['id'] as string),
              pattern(`team:${row['pad'] as string}:*`),
            ];
          },
          types: ['User', 'team'],
        },
      },
      2,
    );
    const values = `(9007199254740993, true, '2020-01-02 03:04:05.678+00', '{a,"b c"}', 'ab', 1.50, '{"x": [1]}', '\\xff00', null)`;
    await sql(`set datestyle = 'SQL, DMY'; insert into TABLE values ${values}`);
    expect(await app.next(2)).toEqual(['User:9007199254740993', 'team:ab  :*']);
    const [expected] = await sql('select * from TABLE');
    expect(rows).toEqual([expected]);
    await sql(`update TABLE set pad = 'cd'`);
    expect(await app.next(3)).toEqual([
      'User:9007199254740993',
      'team:ab  :*',
      'team:cd  :*',
    ]);
    await sql('alter table TABLE drop column gone');
    await sql('delete from TABLE');
    const said = await app.next(4);
    expect(said).toEqual(
      expect.arrayContaining(['User:9007199254740993', 'team:cd  :*']),
    );
    expect(app.source.status().widened).toEqual({
      'first-start': 1,
      definition: 1,
    });
  });

  it('gets the columns that it names, and no large values: the types instead', async () => {
    const { app, sql, table, outbox } = await mapped({
      columns: 'id int primary key, name text, secret text',
      mapping: {
        map: (row) =>
          row['id'] === 3 ? [] : entity('User', row['name'] as string),
        types: ['User'],
        columns: ['id', 'name'],
      },
    });
    const writer = await server().connect();
    await writer.query('begin');
    await writer.query(`insert into ${table} values (1, 'a', 'hidden')`);
    const { rows } = await writer.query(`select content from ${outbox}`);
    await writer.query('commit');
    expect(rows[0].content).toContain('=a');
    expect(rows[0].content).not.toContain('hidden');
    expect(await app.next()).toEqual(['User:a']);
    const noise = `(select string_agg(md5(i::text), '') from generate_series(1, 1000) i)`;
    await sql(`insert into TABLE values (2, ${noise}, 'x')`);
    expect(await app.next()).toEqual(['user:*']);
    await sql(`insert into TABLE values (3, ${noise}, 'x')`);
    await sql(`insert into TABLE values (4, 'd', 'x')`);
    expect(await app.next()).toEqual(['User:d']);
    expect(app.source.status().widened).toEqual({
      'first-start': 1,
      columns: 1,
    });
  });

  it('is asked for rows up to bulk, and up to a size', async () => {
    const { app, sql } = await mapped({
      columns: 'id int primary key, name text',
      mapping: {
        map: ({ id }) => entity('User', id as number),
        types: ['User'],
      },
      bulk: 500,
    });
    await sql(`insert into TABLE select i, 'a' from generate_series(1, 500) i`);
    expect((await app.next())[0]!.split(',')).toHaveLength(500);
    await sql(`update TABLE set name = 'b'`);
    expect((await app.next())[0]!.split(',')).toHaveLength(500);
    await sql(
      `insert into TABLE select i, 'a' from generate_series(501, 1001) i`,
    );
    expect(await app.next()).toEqual(['user:*']);
    await sql(`update TABLE set name = repeat('x', 4000) where id <= 300`);
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status().widened).toEqual({ 'first-start': 1, bulk: 2 });
  });
});
