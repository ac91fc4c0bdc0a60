import { entity } from 'nestjs-cache-invalidation';
import type { TableMapping } from 'nestjs-cache-invalidation/postgres';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startHolder, startSourceApp, uniqueName, useServer } from './setup.js';
import { isPostgres } from '../support/postgres.js';

const server = useServer();

const TEAMS: TableMapping = {
  map: ({ team_id }) => entity('Team', String(team_id)),
  types: ['Team'],
};
const PARTITIONED = `create table TABLE (id int primary key, team_id int) partition by range (id);
  create table TABLE_1 partition of TABLE for values from (0) to (1000);`;

/** A table with the rows 1 and 2, and a holder that has announced nothing of it. */
async function holding(mapping: TableMapping, ddl: string, schema = 'public') {
  const table = uniqueName();
  const sql = (text: string) =>
    server().sql(
      text.replaceAll('TABLE', `${schema}.${table}`).replaceAll('NAME', table),
    );
  await sql(ddl);
  await sql('insert into TABLE values (1, 10), (2, 20)');
  const app = await startHolder({
    connection: server().url,
    slot: table,
    tables: { [`${schema}.${table}`]: mapping },
  });
  return { app, sql, table };
}

describe.runIf(isPostgres(13))('a partition', () => {
  it('that logs less than its root tells less: the types are invalidated', async () => {
    const { app, sql } = await holding(
      TEAMS,
      `${PARTITIONED} alter table TABLE replica identity full`,
    );
    await sql('update TABLE set team_id = 11 where id = 1');
    expect(await app.next()).toEqual(['Team:*']);
    await sql('delete from TABLE where id = 2');
    expect(await app.next()).toEqual(['Team:*']);
    await sql('alter table TABLE_1 replica identity full');
    expect(await app.next()).toEqual(['Team:*']);
    await sql('update TABLE set team_id = 12 where id = 1');
    expect(await app.next()).toEqual(['Team:11,Team:12']);
  });

  it('that is known by another key hides a changed key', async () => {
    const { app, sql } = await holding(
      'User',
      `${PARTITIONED} alter table TABLE_1 alter team_id set not null;
       create unique index NAME_u on TABLE_1 (team_id);
       alter table TABLE_1 replica identity using index NAME_u`,
    );
    await sql('update TABLE set id = 5 where id = 1');
    expect(await app.next()).toEqual(['user:*']);
  });

  it('invalidates the type when it was detached for a moment', async () => {
    const { app, sql } = await holding('User', PARTITIONED);
    await sql(`begin;
      alter table TABLE detach partition TABLE_1;
      update TABLE_1 set team_id = 5 where id = 1;
      alter table TABLE attach partition TABLE_1 for values from (0) to (1000);
      commit`);
    expect(await app.next()).toEqual(['user:*']);
  });

  it('stops the source while it is unlogged', async () => {
    const { app, sql } = await holding('User', PARTITIONED);
    await sql('alter table TABLE_1 set unlogged');
    await eventually(() =>
      expect(app.source.status().fault?.message).toContain('is unlogged'),
    );
    await sql('update TABLE set team_id = 5 where id = 1');
    await sql('alter table TABLE_1 set logged');
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status()).toMatchObject({ state: 'holder', fault: null });
  });

  it('is refused beside its root, which its changes are published as', async () => {
    const table = uniqueName();
    await server().sql(PARTITIONED.replaceAll('TABLE', table));
    const { source } = await startSourceApp({
      connection: server().url,
      tables: { [`public.${table}`]: 'User', [`public.${table}_1`]: 'Leaf' },
    });
    await eventually(() =>
      expect(source.status().fault?.message).toContain(
        `public.${table}_1 is a partition of public.${table}`,
      ),
    );
  });
});

describe('a table that has another name for a moment', () => {
  const PLAIN = 'create table TABLE (id int primary key, n int)';

  it('invalidates its type', async () => {
    const { app, sql } = await holding('User', PLAIN);
    await sql(`begin;
      alter table TABLE rename to NAME_other;
      update NAME_other set n = 5 where id = 1;
      alter table NAME_other rename to NAME;
      commit`);
    expect(await app.next()).toEqual(['user:*']);
  });

  it('invalidates its type once it is back and the source goes on', async () => {
    const { app, sql } = await holding('User', PLAIN);
    await sql('alter table TABLE rename to NAME_other');
    await eventually(() =>
      expect(app.source.status().fault?.message).toContain('There is no table'),
    );
    await sql('update NAME_other set n = 5 where id = 1');
    await sql('alter table NAME_other rename to NAME');
    expect(await app.next()).toEqual(['user:*']);
  });
});

describe.runIf(isPostgres(15))('a publication of a schema', () => {
  it('is completed when the schema leaves it', async () => {
    const name = uniqueName();
    await server().sql(`create schema ${name};
      create table ${name}.users (id int primary key, n int);
      insert into ${name}.users values (1);
      create publication ${name} for tables in schema ${name}
        with (publish_via_partition_root = true)`);
    const app = await startHolder({
      connection: server().url,
      slot: name,
      tables: { [`${name}.users`]: 'User' },
    });
    await server().sql(
      `alter publication ${name} drop tables in schema ${name}`,
    );
    expect(await app.next()).toEqual(['user:*']);
    await server().sql(`update ${name}.users set n = 2`);
    expect(await app.next()).toEqual(['User:1']);
  });
});

describe('a database of another encoding', () => {
  it.runIf(isPostgres(14))(
    'invalidates everything for an announcement that is no UTF-8',
    async () => {
      const name = uniqueName();
      await server().sql(
        `create database ${name} encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'`,
      );
      const url = new URL(server().url);
      url.pathname = name;
      const client = new pg.Client(url.href);
      await client.connect();
      onTestFinished(() => client.end());
      await client.query('create table users (id text primary key)');
      const app = await startHolder({
        connection: url.href,
        tables: { 'public.users': 'User' },
      });
      await client.query(`select pg_logical_emit_message(true, 'cache_invalidation',
      '[{"action":"Delete","entityType":"User","entityId":"é"}]')`);
      expect(await app.next()).toEqual(['*']);
      await client.query(`insert into users values ('é')`);
      expect(await app.next()).toEqual(['User:é']);
    },
  );

  it('has one text of a value, whatever the role prefers', async () => {
    const role = uniqueName();
    await server().sql(`create role ${role} login superuser;
      alter role ${role} set datestyle = 'German';
      create table ${role} (id date primary key)`);
    const url = new URL(server().url);
    url.username = role;
    const app = await startHolder({
      connection: url.href,
      tables: { [`public.${role}`]: 'User' },
    });
    await server().sql(`insert into ${role} values ('2026-03-04')`);
    expect(await app.next()).toEqual(['User:2026-03-04']);
  });
});
