import { describe, expect, it, onTestFinished } from 'vitest';
import { MissingPgError } from '../../lib/cli/pg/missing-pg.error.js';
import { PostgresLink } from '../../lib/cli/pg/postgres-link.js';
import { setupSql } from '../../lib/cli/pg/setup-sql.js';
import { runProgram } from '../../lib/cli/program.js';
import { startHolder, uniqueName, useServer } from '../postgres/setup.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { json, recordingIo, run, withProgram } from './program.js';
import { isPostgres } from '../support/postgres.js';

const server = useServer();

withProgram();

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function postgres(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Result> {
  const io = { ...recordingIo(), env };
  const code = await runProgram(['postgres', ...args], io);
  return { code, out: io.lines.join('\n'), err: io.notes.join('\n') };
}

/** The URL of the server, with another user. */
const urlAs = (user: string): string =>
  server().url.replace('postgres@', `${user}@`);

/** SQL without its comments. */
const commandsOf = (sql: string): string =>
  sql
    .split('\n')
    .filter((line) => !line.startsWith('--') && line !== '')
    .join('\n');

describe('postgres', () => {
  it('prints its help', async () => {
    const { code, out, err } = await run(['postgres', '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const text of [
      'nestjs-cache-invalidation postgres sql',
      '--postgres <url>',
      '--tables <schema.table,…>',
      '--user <name>',
      'keeps the server',
    ]) {
      expect(out).toContain(text);
    }
    expect(out).not.toContain('--url');
    expect(await run(['help', 'postgres'])).toEqual({ code, out, err });
  });

  it.each([
    [[], "missing required argument 'action'"],
    [['show'], 'Allowed choices are sql, drop.'],
    [['sql', 'drop'], 'Too many arguments'],
    [['sql', '--url', 'redis://a'], "Unknown option '--url'"],
    [['sql', '--tables', 'users'], '--tables is not a list of tables'],
    [['sql', '--tables', 'public.users,'], '--tables is not a list of tables'],
    [['sql', '--tables', 'a.b.c'], '--tables is not a list of tables'],
    [['sql', '--tables', 'a.b\nDROP'], '--tables is not a list of tables'],
    [['sql', '--slot', 'Has-Dash'], '--slot is not a name'],
    [['sql', '--publication', ''], '--publication is not a name'],
    [['sql', '--user', ''], '--user is not the name of one.'],
    [['sql', '--user', 'a\nb'], '--user is not the name of one.'],
    [['sql', '--user', 'é'.repeat(32)], '--user is not the name of one.'],
    [['sql', '--json'], '--json is not for sql.'],
    [['sql', '--postgres', 'postgres://h/d'], '--postgres is not for sql.'],
    [['drop'], 'No database is given.'],
    [['drop', '--tables', 'a.b'], '--tables is not for drop.'],
    [['drop', '--user', 'a'], '--user is not for drop.'],
    [['drop', '--postgres', 'mysql://a:secret@h'], 'The URL of PostgreSQL'],
    [['drop', '--postgres', 'postgres://a:se%cret@h'], 'The URL of PostgreSQL'],
    [
      ['drop', '--postgres', 'postgres://h/d', '--timeout', '0'],
      '--timeout is not a time.',
    ],
  ])('exits with 2 for %j, and prints the reason', async (args, why) => {
    const { code, out, err } = await postgres(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err.toLowerCase()).toContain(why.toLowerCase());
    expect(err).toContain('--help');
    expect(err).not.toContain('cret');
  });
});

describe('postgres sql', () => {
  it('prints what prepares a database', async () => {
    const { code, out, err } = await postgres([
      'sql',
      '--tables',
      'public.users, public.memberships',
      '--tables',
      'public.users',
      '--user',
      'app',
    ]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(commandsOf(out)).toBe(`CREATE ROLE "app" LOGIN REPLICATION;
CREATE PUBLICATION "cache_invalidation" FOR TABLE "public"."users", "public"."memberships"
  WITH (publish_via_partition_root = true);`);
    for (const text of [
      "ALTER SYSTEM SET wal_level = 'logical'",
      'RESTART',
      "max_slot_wal_keep_size = '10GB'",
      'FILLS THE DISK',
      "pg_create_logical_replication_slot('cache_invalidation', 'pgoutput')",
      'nothing but the catalog',
    ]) {
      expect(out).toContain(text);
    }
  });

  it('names no tables if none are given', async () => {
    const { code, out } = await postgres(['sql'], {
      CACHE_INVALIDATION_POSTGRES_SLOT: 'other',
    });
    expect(code).toBe(0);
    expect(commandsOf(out)).toBe(
      'CREATE ROLE "cache_invalidation" LOGIN REPLICATION;',
    );
    expect(out).toContain('Give --tables');
    expect(out).toContain("pg_create_logical_replication_slot('other'");
  });

  it('quotes names', async () => {
    const { out } = await postgres([
      'sql',
      '--tables',
      'my schema.a"; DROP TABLE "b',
      '--user',
      `a"b'c`,
    ]);
    expect(commandsOf(out)).toContain(
      'FOR TABLE "my schema"."a""; DROP TABLE ""b"',
    );
    expect(commandsOf(out)).toContain(`CREATE ROLE "a""b'c" LOGIN`);
  });
});

describeOnRedisServer('a database prepared by postgres sql', () => {
  it.runIf(isPostgres(13))(
    'is all that a source needs, without rights to its tables',
    async () => {
      const table = uniqueName();
      const user = uniqueName();
      const name = uniqueName();
      await server().sql(`create table ${table} (id int primary key)`);
      const names = {
        tables: [`public.${table}`],
        slot: name,
        publication: name,
      };
      await server().sql(setupSql(names, user));
      const app = await startHolder({
        connection: urlAs(user),
        slot: name,
        publication: name,
        tables: { [`public.${table}`]: 'User' },
      });
      await server().sql(`insert into ${table} values (7)`);
      expect(await app.next()).toEqual(['User:7']);
    },
  );
});

/** A slot and a publication of one table. */
async function leftOver(): Promise<string> {
  const name = uniqueName();
  await server().sql(`create table ${name} (id int primary key)`);
  await server().sql(`create publication ${name} for table ${name}`);
  await server().sql(
    `select pg_create_logical_replication_slot('${name}', 'pgoutput')`,
  );
  onTestFinished(async () => {
    await server().sql(
      `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '${name}'`,
    );
  });
  return name;
}

async function remains(name: string): Promise<Record<string, unknown>> {
  const [row] = await server().sql(
    `select exists(select from pg_replication_slots where slot_name = $1) as slot,
       exists(select from pg_publication where pubname = $1) as publication`,
    [name],
  );
  return row!;
}

const dropping = (name: string, url = server().url): string[] => [
  'drop',
  '--postgres',
  url,
  '--slot',
  name,
  '--publication',
  name,
];

describe('postgres drop', () => {
  it('drops slot and publication, and says so when there are none', async () => {
    const name = await leftOver();
    const { code, out, err } = await postgres(dropping(name));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(
      new RegExp(
        `^slot         ${name} dropped; it kept [\\d.]+ \\w+ of log\npublication  ${name} dropped$`,
      ),
    );
    expect(await remains(name)).toEqual({ slot: false, publication: false });

    const again = await postgres(dropping(name));
    expect(again).toEqual({
      code: 0,
      err: '',
      out: `slot         there is none of the name ${name}\npublication  there is none of the name ${name}`,
    });
  });

  it('prints JSON, with the URL and the slot of the environment', async () => {
    const name = await leftOver();
    const { code, out } = await postgres(
      ['drop', '--json', '--publication', name],
      {
        CACHE_INVALIDATION_POSTGRES_URL: server().url,
        CACHE_INVALIDATION_POSTGRES_SLOT: name,
      },
    );
    expect(code).toBe(0);
    expect(json(out)).toEqual({
      slot: 'dropped',
      released: expect.any(Number) as number,
      publication: 'dropped',
    });
  });

  it('works as a process', async () => {
    const name = await leftOver();
    const { code, out } = await run(['postgres', ...dropping(name)]);
    expect(code).toBe(0);
    expect(out).toContain(`${name} dropped`);
  });

  it('leaves a slot of something else', async () => {
    const name = await leftOver();
    const other = uniqueName();
    await server().sql(`create database ${other}`);
    const { code, out, err } = await postgres(
      dropping(name, server().url.replace(/\w+$/, other)),
    );
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(
      `The slot ${name} is none of a source of this database: plugin pgoutput, database postgres.`,
    );
    expect(await remains(name)).toEqual({ slot: true, publication: true });
  });

  it('drops the slot where the publication belongs to another user', async () => {
    const name = await leftOver();
    const user = uniqueName();
    await server().sql(`create role ${user} login replication`);
    const { code, err } = await postgres(dropping(name, urlAs(user)));
    expect(code).toBe(1);
    expect(err).toContain('the slot is gone.');
    expect(err).toContain(`Run as its owner: DROP PUBLICATION "${name}"`);
    expect(await remains(name)).toEqual({ slot: false, publication: true });
  });

  it('exits with 1 for a user without the rights', async () => {
    const name = await leftOver();
    const user = uniqueName();
    await server().sql(`create role ${user} login`);
    const { code, err } = await postgres(dropping(name, urlAs(user)));
    expect(code).toBe(1);
    expect(err).toContain(`The slot ${name} was not dropped`);
    expect(err).toContain('REPLICATION');
    expect(await remains(name)).toEqual({ slot: true, publication: true });
  });

  it('exits with 1 without a server, and shows no password', async () => {
    const { code, out, err } = await postgres([
      'drop',
      '--postgres',
      'postgres://me:secret@127.0.0.1:1/db',
    ]);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(
      'Cannot reach PostgreSQL at postgres://127.0.0.1:1/db: connect ECONNREFUSED',
    );
    expect(err).not.toContain('secret');
  });

  it('asks for the package pg where it is missing', async () => {
    const link = new PostgresLink(new URL('postgres://h/d'), 100, () => {
      throw new MissingPgError(new Error('Cannot find package'));
    });
    await expect(link.query('select 1')).rejects.toThrow(
      'The package pg is not installed, so PostgreSQL cannot be reached. Run npm install pg.',
    );
  });
});

describeOnRedisServer('postgres drop of a slot in use', () => {
  it('refuses, and names the process that reads it', async () => {
    const name = uniqueName();
    await server().sql(`create table ${name} (id int primary key)`);
    const app = await startHolder({
      connection: server().url,
      slot: name,
      publication: name,
      tables: { [`public.${name}`]: 'User' },
    });
    const [held] = await server().sql(
      'select active_pid from pg_replication_slots where slot_name = $1',
      [name],
    );
    const { code, out, err } = await postgres(dropping(name));
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(
      `The slot ${name} is read by process ${String(held!['active_pid'])} of the server; nothing was dropped.`,
    );
    expect(await remains(name)).toEqual({ slot: true, publication: true });
    await server().sql(`insert into ${name} values (1)`);
    expect(await app.next()).toEqual(['User:1']);
  });
});
