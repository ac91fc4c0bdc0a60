import pg from 'pg';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { affects } from 'nestjs-cache-invalidation';
import type { TableMappings } from 'nestjs-cache-invalidation/postgres';
import { CapturedPgClients } from '../../../lib/postgres/capture/pg-client.js';
import { WriteCapture } from '../../../lib/postgres/capture/write-capture.js';
import { eventually } from '../../support/eventually.js';
import { useServer } from '../setup.js';
import { startCaptureApp, type CaptureApp } from './setup.js';
import { isPostgres } from '../../support/postgres.js';

const server = useServer();

const LONG = 'a'.repeat(63);

const TABLES: TableMappings = {
  'public.users': 'user',
  'public.posts': 'post',
  'public.codes': 'code',
  'public.members': 'member',
  'public.totals': 'total',
  'shop.orders': 'order',
  'public.Äpfel': 'apple',
  [`public.${LONG}`]: 'long',
};

const SCHEMA = `
  drop schema if exists shop cascade;
  drop table if exists posts, users, teams, codes, members, totals, sums, "Äpfel", ${LONG} cascade;
  create schema shop;
  create table teams (id int primary key, code text unique);
  create table users (id int primary key, name text, flag boolean, team text references teams (code) on update cascade);
  create table posts (id int primary key, user_id int references users);
  create table codes (code text primary key, note text);
  create table members (user_id int, team_id int, role text, primary key (user_id, team_id));
  create table sums (id int primary key, part int, whole int generated always as (part * 2) stored unique);
  create table totals (id int primary key, whole int references sums (whole) on update cascade);
  create table shop.orders (id int primary key);
  create table "Äpfel" (id int primary key, name text);
  create table ${LONG} (id int primary key, name text);
  insert into teams values (1, 'a'), (2, 'b'), (3, 'c');
  insert into users values (1, 'one', null, 'b'), (2, 'two', null, 'a'), (3, 'three', null, 'b');
  insert into posts values (1, 3);
  insert into codes values ('ab', 'n'), ('abc', 'n');
  insert into members values (7, 1, 'x'), (8, 1, 'y');
  insert into sums values (1, 5);
  insert into totals values (1, 10);
  insert into shop.orders values (1);
  insert into "Äpfel" values (1, 'a');
  insert into ${LONG} values (1, 'a');`;

const CASES: [string, (readonly unknown[])?][] = [
  // Names.
  ["insert into postgres.public.users (id, name) values (9, 'n')"],
  ['delete from postgres.public.users where id = 2'],
  ["update postgres.public.users set name = 'n' where id = 2"],
  ['update "Äpfel" set name = \'b\''],
  ["update ÄPFEL set name = 'b'"],
  [`update ${LONG}b set name = 'b'`],
  [`update "${LONG}b" set name = 'b'`],
  // Comments and texts.
  ['select 1 -- read\r; delete from users where id = 2'],
  ['-- read\rdelete from users where id = 2'],
  [
    "insert into codes values (E'd'\n'e\\'f', 'x'); delete from users where id = 2; update codes set note = 'y'",
  ],
  // Columns of other tables.
  [
    "update users set name = 'n' from teams t where t.code = team and t.id = 2 returning t.id",
  ],
  [
    "update users u set name = 'n' from teams t where t.code = team and t.id = 2 returning *",
  ],
  [
    "update users u set name = 'n' from teams t where t.code = team and t.id = 2 returning t.*",
  ],
  [
    'delete from users u using teams t where t.code = team and u.id = 2 returning t.id',
  ],
  // Names in RETURNING.
  [
    "update members set role = 'z' returning user_id, team_id, -team_id as team_id",
  ],
  [
    "update members set role = 'z' returning user_id, team_id, user_id + 5 team_id",
  ],
  [
    "update members set role = 'z' returning user_id as team_id, team_id as user_id",
  ],
  [
    'update users set flag = name is distinct from team, id = 12 where id = 2 returning id',
  ],
  [
    "update teams set id = id, code = case when id is distinct from 4 then 'z' end where id = 2",
  ],
  [
    "update teams set id = case 1 when 2 then 3 else id end + (id is distinct from id)::int, code = 'z' where id = 2",
  ],
  // Values that are stored in another form.
  ["insert into codes (code) values ('007'::int)"],
  ['insert into codes (code) values ($1::int)', ['007']],
  [
    "insert into codes (code) values ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid)",
  ],
  ["update codes set code = '007'::int where code = 'ab'"],
  ["update codes set note = 'm' where code = any($1::varchar(2)[])", [['abc']]],
  // Other tables.
  ['truncate users cascade'],
  ['update sums set part = 6 where id = 1'],
  ['drop schema shop cascade'],
  ['drop table U&"\\0075sers" cascade'],
];

/** Forms that PostgreSQL has from version 18 on. */
const NEW_CASES: readonly string[] = [
  'update users set id = id + 10 where id = 2 returning old.id',
  'update users set id = 12 where id = 2 returning old.*',
  'update users set id = 12 where id = 2 returning id, old.id',
];

async function rowsByKey(): Promise<Map<string, string>> {
  const rows: Record<string, unknown>[] = [];
  for (const [type, key, table] of [
    ['user', 'id', 'users'],
    ['post', 'id', 'posts'],
    ['code', 'code', 'codes'],
    ['member', "user_id || ':' || team_id", 'members'],
    ['total', 'id', 'totals'],
    ['order', 'id', 'shop.orders'],
    ['apple', 'id', '"Äpfel"'],
    ['long', 'id', LONG],
  ]) {
    rows.push(
      ...(await server()
        .sql(
          `select '${type}:' || ${key} as key, t::text as row from ${table} t`,
        )
        .catch(() => [])),
    );
  }
  return new Map(rows.map(({ key, row }) => [String(key), String(row)]));
}

async function connect(app: CaptureApp): Promise<pg.Client> {
  const client = await server().connect();
  const { publisher } = app;
  const capture = new WriteCapture({ publisher, tables: TABLES });
  new CapturedPgClients(capture).add(client);
  return client;
}

async function announcesAll(
  text: string,
  parameters?: readonly unknown[],
): Promise<void> {
  const app = await startCaptureApp();
  const client = await connect(app);
  const before = await rowsByKey();
  await client.query(text, parameters && [...parameters]);
  const after = await rowsByKey();
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    (key) => before.get(key) !== after.get(key),
  );
  const missed = changed.filter(
    (key) => !app.messages.some((message) => affects(message, key)),
  );
  expect(missed).toEqual([]);
  expect(changed).not.toEqual([]);
}

beforeEach(async () => {
  await server().sql(SCHEMA);
});

describe('A captured statement announces all that it changes', () => {
  it.each(CASES)('%s', announcesAll);

  it.each(NEW_CASES)('%s', async (text) => {
    const [version] = await server().sql(
      "select current_setting('server_version_num')::int as number",
    );
    if ((version!['number'] as number) >= 180_000) {
      return announcesAll(text);
    }
    const client = await connect(await startCaptureApp());
    await expect(client.query(text)).rejects.toThrow('missing FROM-clause');
  });
});

it('What a text writes before its BEGIN is announced after the commit', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  await client.query("update users set name = 'n' where id = 1; begin");
  expect(app.said()).toEqual([]);
  await client.query('commit');
  expect(app.said()).toEqual(['User:1']);
});

it.runIf(isPostgres(14))(
  "The END of a function's body ends no transaction",
  async () => {
    const app = await startCaptureApp();
    const client = await connect(app);
    await client.query('begin');
    await client.query(
      'create function pick(n int) returns int begin atomic select case n when 1 then 2 end; select 3; end',
    );
    await client.query("update users set name = 'n' where id = 1");
    expect(app.said()).toEqual([]);
    await client.query('drop function pick; commit');
    expect(app.said()).toEqual(['User:1']);
  },
);

it('Definitions that are rolled back are read again', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  await client.query('begin');
  await client.query('alter table totals drop constraint totals_whole_fkey');
  await client.query('update sums set part = 6 where id = 1');
  await client.query('rollback');
  await client.query('update sums set part = 6 where id = 1');
  expect(app.said()).toEqual(['total:*']);
});

it("A text that PostgreSQL refuses fails with PostgreSQL's error", async () => {
  const client = await connect(await startCaptureApp());
  for (const text of [
    'update users set',
    'update users set , where',
    'insert into users (id) values (1) on conflict (id) do update set',
    'insert into users (id) values (1) on conflict (id) do update set , returning ,',
    'delete from users where id = any(',
  ]) {
    await expect(client.query(text)).rejects.toThrow('syntax error');
  }
});

it('A text of many megabytes is read', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  await client.query(
    `insert into codes (code, note) values ('large', '${'a'.repeat(20_000_000)}')`,
  );
  expect(app.said()).toEqual(['code:large']);
});

it('A query with its callback among its options calls it, after the announcement', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  const query = {
    text: "update users set name = 'n' where id = 1 returning id",
    callback: vi.fn(),
  };
  void client.query(query);
  await eventually(() => expect(query.callback).toHaveBeenCalledOnce());
  expect(app.said()).toEqual(['User:1']);
  const rows = [{ id: 1 }];
  expect(query.callback).toHaveBeenCalledWith(
    null,
    expect.objectContaining({ rows }),
  );
});

it('A condition within thousands of others takes no time', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  const [open, close] = ['('.repeat(2_000), ')'.repeat(2_000)];
  await client.query(`delete from codes where ${open}code = 'ab'${close}`);
  expect(app.said()).toEqual(['code:*']);
});

it('A failed AND CHAIN begins no transaction', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  await expect(client.query('commit and chain')).rejects.toThrow('CHAIN');
  await client.query("update users set name = 'n' where id = 1");
  expect(app.said()).toEqual(['User:1']);
});

it('A transaction that goes on after an error in the text of its BEGIN is announced after its commit', async () => {
  const app = await startCaptureApp();
  const client = await connect(app);
  const begin = 'begin; savepoint a; select 1 / 0';
  await expect(client.query(begin)).rejects.toThrow('zero');
  await client.query('rollback to a');
  await client.query("update users set name = 'n' where id = 1");
  expect(app.said()).toEqual(['User:1']);
  await client.query('commit');
  expect(app.said()).toEqual(['User:1']);
});
