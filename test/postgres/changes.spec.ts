import { describe, expect, it } from 'vitest';
import { entity, pattern } from 'nestjs-cache-invalidation';
import type { TableMapping } from 'nestjs-cache-invalidation/postgres';
import { parseLsn } from '../../lib/message/index.js';
import { eventually } from '../support/eventually.js';
import { startHolder, uniqueName, useServer } from './setup.js';
import { isPostgres } from '../support/postgres.js';

const server = useServer({ max_prepared_transactions: '5' });

interface Mapped {
  readonly columns?: string;
  readonly mapping?: TableMapping;
  readonly more?: string;
  readonly bulk?: number;
  /** Number of mapped types. */
  readonly types?: number;
}

/** A table of its own, and a holder that maps it, to User by default. */
async function mapped({
  columns = 'id int primary key, name text',
  mapping = 'User',
  more = '',
  bulk = 1_000,
  types = 1,
}: Mapped = {}) {
  const table = uniqueName();
  const sql = (text: string) => server().sql(text.replaceAll('TABLE', table));
  await sql(`create table TABLE (${columns}) ${more}`);
  const app = await startHolder(
    {
      connection: server().url,
      tables: { [`public.${table}`]: mapping },
      bulk,
    },
    {},
    types,
  );
  return { table, app, sql };
}

describe('changes of a mapped table', () => {
  it('are announced, whoever writes them', async () => {
    const { app, sql } = await mapped();
    expect(app.said).toEqual(['user:*']);
    await sql(`insert into TABLE values (1, 'a')`);
    expect(await app.next()).toEqual(['User:1']);
    await sql(`update TABLE set name = 'b'`);
    expect(await app.next()).toEqual(['User:1']);
    await sql(`update TABLE set id = 2`);
    expect(await app.next()).toEqual(['user:1,user:2']);
    await sql(`delete from TABLE`);
    expect(await app.next()).toEqual(['User:2']);
    await sql(`truncate TABLE`);
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status()).toMatchObject({
      state: 'holder',
      fault: null,
      transactions: 5,
      rows: 4,
      widened: { 'first-start': 1, truncate: 1 },
    });
    await eventually(() => expect(app.source.status().lagBytes).toBe(0));
  });

  it('carry the position of their commit, and are nobody’s own', async () => {
    const { app, sql } = await mapped();
    await sql(`insert into TABLE values (1, 'a')`);
    await app.next();
    expect(app.messages.at(-1)).toMatchObject({
      own: false,
      at: { pg: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) },
    });
  });

  it('carry the beginning of the commit, which a replica passes with the commit and not before', async () => {
    const { table, app } = await mapped();
    const client = await server().connect();
    const end = async () => {
      const { rows } = await client.query<{ lsn: string }>(
        'select pg_current_wal_insert_lsn()::text as lsn',
      );
      return parseLsn(rows[0]!.lsn)!;
    };
    for (const id of [1, 2, 3]) {
      await client.query(`begin; insert into ${table} values (${id})`);
      const before = await end();
      await client.query('commit');
      const after = await end();
      await app.next();
      const position = parseLsn(app.messages.at(-1)!.at!['pg']!)!;
      expect(position).toBeGreaterThanOrEqual(before);
      expect(position).toBeLessThan(after);
    }
  });

  it('leave together, merged, for each transaction', async () => {
    const { app, sql } = await mapped();
    await sql(
      `begin; insert into TABLE values (1, 'a'), (2, 'b'); update TABLE set name = 'c' where id = 1; savepoint s;
       insert into TABLE values (3, 'c'); rollback to s; insert into TABLE values (4, 'd'); commit`,
    );
    expect(await app.next()).toEqual(['user:1,user:2,user:4']);
    await sql(`begin; insert into TABLE values (5, 'a'); rollback`);
    await sql(
      `begin; insert into TABLE values (6, 'a'); prepare transaction '${uniqueName()}'`,
    );
    await sql(`insert into TABLE values (7, 'a')`);
    expect(await app.next()).toEqual(['User:7']);
    const [{ gid } = {}] = await sql('select gid from pg_prepared_xacts');
    await sql(`commit prepared '${gid as string}'`);
    expect(await app.next()).toEqual(['User:6']);
  });

  it('become the type beyond the bulk, without taking memory', async () => {
    const { app, sql } = await mapped({ bulk: 100 });
    await sql(`insert into TABLE select generate_series(1, 100)`);
    expect((await app.next())[0]!.split(',')).toHaveLength(100);
    const before = process.memoryUsage().heapUsed;
    await sql(
      `insert into TABLE select generate_series(101, 300000), repeat('x', 50)`,
    );
    await eventually(() => expect(app.said.at(-1)).toBe('user:*'), {
      timeout: 20_000,
    });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64_000_000);
    expect(app.source.status().rows).toBe(300_000);
    expect(app.source.status().widened).toEqual({ 'first-start': 1, bulk: 1 });
  });

  it('are mapped by their old and new row with REPLICA IDENTITY FULL', async () => {
    const map = ({ user_id, team_id }: Record<string, unknown>) => [
      entity('User', user_id as number),
      pattern(`team:${team_id as number}:*`),
    ];
    const { app, sql } = await mapped({
      columns: 'id int primary key, user_id int, team_id int',
      mapping: { map, types: ['User', 'team'] },
      types: 2,
    });
    expect(app.said).toEqual(['user:*', 'team:*']);
    await sql(`insert into TABLE values (1, 2, 3)`);
    expect(await app.next(2)).toEqual(['User:2', 'team:3:*']);
    await sql(`update TABLE set team_id = 4`);
    expect(await app.next(2)).toEqual(['user:*', 'team:*']);
    await sql(`alter table TABLE replica identity full`);
    await sql(`update TABLE set team_id = 5`);
    // The changed definition: once when it is seen, and once with the next row.
    await eventually(() => expect(app.said.at(-1)).toBe('team:5:*'));
    await sql(`update TABLE set team_id = 6`);
    await eventually(() =>
      expect(app.said.slice(-3)).toEqual(['User:2', 'team:5:*', 'team:6:*']),
    );
  });
});

describe('the definition of a mapped table', () => {
  it('invalidates its type when it changes, also without a row', async () => {
    const { app, sql } = await mapped();
    await sql(`alter table TABLE add column size int default 5`);
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status().widened).toMatchObject({ definition: 1 });
    await sql(`insert into TABLE values (1, 'a')`);
    expect(await app.next()).toEqual(['User:1']);
  });

  it('invalidates it when a column is gone while rows are written', async () => {
    const { app, sql } = await mapped({
      mapping: {
        map: ({ name }) => entity('User', name as string),
        types: ['User'],
      },
    });
    await sql(`insert into TABLE values (1, 'a')`);
    expect(await app.next()).toEqual(['User:a']);
    await sql(
      `begin; alter table TABLE drop column name; insert into TABLE values (2); commit`,
    );
    await eventually(() => expect(app.said.slice(2)).toContain('user:*'));
    expect(app.source.status().widened).toHaveProperty('definition');
  });

  it('gives the order of a composite key, also after it has changed', async () => {
    const { app, sql } = await mapped({
      columns: 'b int, a int, primary key (a, b)',
      mapping: 'pair',
    });
    await sql(`insert into TABLE values (2, 1)`);
    expect(await app.next()).toEqual(['pair:1:2']);
    await sql(
      `alter table TABLE drop constraint TABLE_pkey, add primary key (b, a)`,
    );
    expect(await app.next()).toEqual(['pair:*']);
    await sql(`insert into TABLE values (4, 3)`);
    await eventually(() => expect(app.said).toContain('pair:4:3'));
    expect(app.said).not.toContain('pair:3:4');
  });

  it.runIf(isPostgres(13))(
    'follows partitions by their root, and the TRUNCATE of one',
    async () => {
      const { app, sql, table } = await mapped({
        columns: 'id int primary key, name text',
        more: 'partition by range (id)',
      });
      await sql(
        `create table TABLE_1 partition of TABLE for values from (0) to (100)`,
      );
      expect(await app.next()).toEqual(['user:*']);
      await sql(
        `insert into TABLE values (1, 'a'); insert into TABLE_1 values (2, 'a')`,
      );
      expect(await app.next()).toEqual(['user:1,user:2']);
      await sql(`truncate TABLE_1`);
      expect(await app.next()).toEqual(['user:*']);
      await sql(
        'create table TABLE_2 partition of TABLE for values from (100) to (200)',
      );
      expect(await app.next()).toEqual(['user:*']);
      // A long ALTER TABLE of one partition.
      const locker = await server().connect();
      await locker.query(
        `begin; lock table ${table}_1 in access exclusive mode`,
      );
      await sql('insert into TABLE_2 values (101)');
      expect(await app.next()).toEqual(['User:101']);
      await locker.query('commit');
      await sql(`alter table TABLE detach partition TABLE_1`);
      expect(await app.next()).toEqual(['user:*']);
    },
  );
});
