import { describe, expect, it } from 'vitest';
import { entity } from 'nestjs-cache-invalidation';
import {
  triggerSql,
  type TableMappings,
} from 'nestjs-cache-invalidation/postgres';
import { runProgram } from '../../lib/cli/program.js';
import { startDrain, triggerTable } from '../postgres/triggers.js';
import { uniqueName, useServer } from '../postgres/setup.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { json, recordingIo } from './program.js';

const server = useServer();

async function postgres(...args: string[]) {
  const io = { ...recordingIo(), env: {} };
  const code = await runProgram(['postgres', ...args], io);
  return { code, out: io.lines.join('\n'), err: io.notes.join('\n') };
}

const MODE = ['--mode', 'triggers'];

describe('postgres --mode triggers', () => {
  it.each([
    [['sql'], 'No tables are given.'],
    [['sql', '--tables', 'users=User'], '--tables is not a list of tables'],
    [['sql', '--tables', 'a.b='], '--tables is not a list of tables'],
    [['sql', '--tables', 'a.b=C:d'], '--tables is not a list of tables'],
    [['sql', '--tables', 'a.b', '--outbox', 'o'], '--outbox is not a name'],
    [['sql', '--tables', 'a.b', '--bulk', '0'], '--bulk is not a number'],
    [
      ['sql', '--tables', 'a.b=C', '--columns', 'a.b=c'],
      '--columns is not a list of columns of a mapper',
    ],
    [['sql', '--tables', 'a.b', '--columns', 'a.b'], '--columns is not'],
    [['sql', '--tables', 'a.b', '--columns', 'a.b='], '--columns is not'],
    [['sql', '--tables', 'a.b', '--columns', 'a.c=d'], '--columns is not'],
    [['sql', '--tables', 'a.b', '--slot', 'c'], '--slot is for --mode wal.'],
    [['drop', '--publication', 'c'], '--publication is for --mode wal.'],
    [['drop', '--wake-up'], '--wake-up is not for drop.'],
    [['drop', '--bulk', '2'], '--bulk is not for drop.'],
    [['drop'], 'No database is given.'],
  ])('exits with 2 for %j, and prints the reason', async (args, why) => {
    const url = args.length > 1 ? ['--postgres', 'postgres://h/d'] : [];
    const { code, out, err } = await postgres(
      ...args,
      ...MODE,
      ...(args[0] === 'drop' ? url : []),
    );
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(why);
  });

  it.each([
    [['--outbox', 'a.b'], '--outbox is for --mode triggers.'],
    [['--wake-up'], '--wake-up is for --mode triggers.'],
    [['--tables', 'a.b=C'], '--tables is not a list of tables'],
  ])('is needed for %j', async (args, why) => {
    const { code, err } = await postgres('sql', ...args);
    expect(code).toBe(2);
    expect(err).toContain(why);
  });

  it('prints the SQL of triggerSql()', async () => {
    const { code, out, err } = await postgres(
      'sql',
      ...MODE,
      '--tables',
      'public.users=User, public.memberships',
      '--tables',
      'public.posts',
      '--columns',
      'public.memberships=user_id, team_id',
      '--outbox',
      'app.changes',
      '--bulk',
      '50',
      '--user',
      `a"b`,
      '--wake-up',
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const map = () => null;
    const tables = {
      'public.users': 'User',
      'public.memberships': { map, columns: ['team_id', 'user_id'] },
      'public.posts': map,
    };
    const options = {
      outbox: 'app.changes',
      bulk: 50,
      role: `a"b`,
      wakeUp: true,
    };
    expect(out).toContain(triggerSql(tables, options));
    expect(out).toContain('again after each change');
  });
});

describeOnRedisServer('a database prepared by postgres sql', () => {
  it('is all that a source by triggers needs, without rights to its tables', async () => {
    const name = uniqueName();
    await server().sql(
      `create table ${name} (id int primary key);
       create table ${name}_two (id int, secret text, name text);
       create table ${name}_all (name text);
       create role ${name} login`,
    );
    const outbox = `public.${name}_outbox`;
    const { out } = await postgres(
      'sql',
      ...MODE,
      '--tables',
      `public.${name}=User,public.${name}_two,public.${name}_all`,
      '--columns',
      `public.${name}_two=name,id`,
      '--outbox',
      outbox,
      '--user',
      name,
    );
    await server().sql(out);
    const map = ({ name: id }: Record<string, unknown>) =>
      entity('Two', id as string);
    const tables: TableMappings = {
      [`public.${name}`]: 'User',
      [`public.${name}_two`]: { map, types: ['Two'], columns: ['id', 'name'] },
      [`public.${name}_all`]: { map, types: ['Two'] },
    };
    const connection = server().url.replace('postgres@', `${name}@`);
    const app = await startDrain(
      { mode: 'triggers', connection, tables, outbox, poll: 10 },
      {},
      2,
    );
    await server().sql(`insert into ${name} values (7)`);
    expect(await app.next()).toEqual(['User:7']);
    await server().sql(`insert into ${name}_two values (1, 'x', 'a')`);
    expect(await app.next()).toEqual(['Two:a']);
    await server().sql(`insert into ${name}_all values ('b')`);
    expect(await app.next()).toEqual(['Two:b']);
    expect(app.source.status().fault).toBeNull();
  });
});

describe('postgres drop --mode triggers', () => {
  const drop = (outbox: string, ...more: string[]) =>
    postgres(
      'drop',
      ...MODE,
      '--outbox',
      outbox,
      ...(more.includes('--postgres') ? [] : ['--postgres', server().url]),
      ...more,
    );

  it('removes outbox and triggers, and says so when there are none', async () => {
    const { outbox, sql } = await triggerTable(server(), { wakeUp: true });
    await sql('insert into TABLE values (1); insert into TABLE values (2)');
    expect(await drop(outbox)).toEqual({
      code: 0,
      err: '',
      out: `outbox    ${outbox} dropped, with 2 rows that nobody announced\ntriggers  dropped, of 1 table`,
    });
    await sql('insert into TABLE values (3)');
    expect(
      await sql(`select proname from pg_proc where proname ~ 'TABLE'`),
    ).toEqual([]);
    expect((await drop(outbox)).out).toBe(
      `outbox    there is none of the name ${outbox}\ntriggers  there are none`,
    );
    const { out } = await drop(outbox, '--json');
    expect(json(out)).toEqual({ outbox: 'absent', rows: 0, tables: 0 });
  });

  it('leaves a table of something else', async () => {
    const name = uniqueName();
    await server().sql(`create table ${name} (id int)`);
    const { code, out, err } = await drop(`public.${name}`);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(
      `The table public.${name} is not the outbox of a source. Nothing was dropped.`,
    );
    await server().sql(`select * from ${name}`);
  });

  it('exits with 1 for another user, and while transactions are open', async () => {
    const { outbox, table, sql } = await triggerTable(server());
    await sql('create role TABLE login');
    const url = server().url.replace('postgres@', `${table}@`);
    const other = await drop(outbox, '--postgres', url);
    expect(other.code).toBe(1);
    expect(other.err).toContain('was not dropped: it belongs to another user.');
    const writer = await server().connect();
    await writer.query(`begin; insert into ${table} values (1)`);
    const busy = await drop(outbox, '--timeout', '500ms');
    expect(busy.code).toBe(1);
    expect(busy.err).toContain('was not dropped: open transactions use it');
    await writer.query(`insert into ${table} values (2); commit`);
    expect(await sql('select * from OUTBOX')).toHaveLength(2);
  });
});
