import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { triggerSql } from 'nestjs-cache-invalidation/postgres';
import { relayKey } from '../../lib/transport/index.js';
import { uniqueName, useServer } from '../postgres/setup.js';
import {
  startDrain,
  triggerTable,
  type TriggerTable,
} from '../postgres/triggers.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { doctorReport } from './doctor-report.js';

const server = useServer();

async function examine(
  { table, outbox }: Pick<TriggerTable, 'table' | 'outbox'>,
  {
    channel = uniqueChannel(),
    url = server().url,
    tables = [`public.${table}=User`],
    more = [] as string[],
  } = {},
) {
  const report = await doctorReport(
    '--url',
    inject('redisUrl'),
    '--channel',
    channel,
    '--postgres',
    url,
    '--mode',
    'triggers',
    '--outbox',
    outbox,
    ...tables.flatMap((each) => ['--tables', each]),
    ...more,
  );
  const all = report.checks.filter(({ name }) => /^(pg |postgres$)/.test(name));
  return { ...report, all };
}

describeOnRedisServer('doctor of a source by triggers', () => {
  it('reports ok for one that works, by a user with the least rights', async () => {
    const made = await triggerTable(server(), { wakeUp: true });
    const { table, outbox, options, sql } = made;
    await sql('create role TABLE login');
    await server().sql(
      triggerSql(options.tables, { outbox, role: table, wakeUp: true }),
    );
    const url = server().url.replace('postgres@', `${table}@`);
    const app = await startDrain({ ...options, connection: url });
    await sql('insert into TABLE values (1)');
    await app.next();
    const { channel } = app;
    const report = await examine(made, { channel, url });
    expect(report.all.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'postgres ok',
      'pg triggers ok',
      'pg outbox ok',
      'pg unseen ok',
      'pg record ok',
    ]);
    expect(report.code).toBe(0);
    expect(report.of('pg triggers')).toMatchObject({
      message: '1 table has its triggers',
      details: [{ table, triggers: 'right' }],
    });
    expect(report.of('pg outbox').message).toBe(
      `${outbox} is empty, and notifies`,
    );
    expect(report.of('pg unseen').message).toContain(
      'session_replication_role = replica',
    );
  });

  it('says what is to come where nothing was set up', async () => {
    const table = uniqueName();
    const given = { table, outbox: `public.${table}` };
    const report = await examine(given);
    expect(report.code).toBe(1);
    expect(report.of('pg triggers').message).toBe(
      `there is no table public.${table}`,
    );
    expect(report.of('pg outbox').message).toBe(
      `there is none of the name public.${table}`,
    );
    expect(report.of('pg record')).toMatchObject({ status: 'warn' });
    const without = await examine(given, { tables: [] });
    expect(without.of('pg triggers')).toMatchObject({ status: 'unknown' });
  });
});

describeOnRedisServer('doctor of triggers', () => {
  it.each([
    ['alter table TABLE disable trigger all', 'insert is disabled'],
    ['drop trigger "TABLE_outbox_update" on TABLE', 'update is missing'],
    [
      `create or replace function "TABLE_outbox_capture"() returns trigger language plpgsql as 'begin return null; end'`,
      'insert does not fit the options',
    ],
  ])('fails after %s', async (command, problem) => {
    const made = await triggerTable(server());
    await made.sql(command);
    expect((await examine(made)).of('pg triggers')).toMatchObject({
      status: 'fail',
      message: `changes of ${made.table} are not seen: its trigger ${made.table}_outbox_${problem}`,
      advice: expect.stringContaining('postgres sql --mode triggers') as string,
    });
  });

  it('compares them with the options', async () => {
    const mapping = { map: () => null, columns: ['name', 'id'] };
    const made = await triggerTable(server(), { mapping, bulk: 5 });
    const name = `public.${made.table}`;
    const statusOf = async (tables: string[], ...more: string[]) =>
      (await examine(made, { tables, more })).of('pg triggers').status;
    const right = ['--bulk', '5', '--columns', `${name}=id,name`];
    expect(await statusOf([name], ...right)).toBe('ok');
    expect(await statusOf([name], '--bulk', '5')).toBe('fail');
    expect(await statusOf([name], ...right.slice(2))).toBe('fail');
    expect(await statusOf([`${name}=User`], '--bulk', '5')).toBe('fail');
  });

  it('sees new partitions', async () => {
    const made = await triggerTable(server(), {
      more: 'partition by range (id)',
    });
    await made.sql(
      'create table TABLE_1 partition of TABLE for values from (0) to (100)',
    );
    expect((await examine(made)).of('pg triggers')).toMatchObject({
      status: 'fail',
      details: [
        { table: made.table, triggers: 'right' },
        {
          table: `${made.table}_1`,
          triggers: expect.stringContaining('is missing') as string,
        },
      ],
    });
  });
});

describeOnRedisServer('doctor of the outbox', () => {
  it('fails for a user without rights', async () => {
    const made = await triggerTable(server());
    const { table, outbox, sql } = made;
    await sql('create role TABLE login; grant select on OUTBOX to TABLE');
    const url = server().url.replace('postgres@', `${table}@`);
    expect((await examine(made, { url })).of('pg outbox')).toMatchObject({
      status: 'fail',
      message: `user ${table} may not DELETE its rows`,
      advice: expect.stringContaining(`ON ${outbox} TO`) as string,
    });
  });

  it('fails for a user whom row security may hide rows from', async () => {
    const made = await triggerTable(server());
    const { table, outbox, sql } = made;
    await sql(`create role TABLE login;
      grant select, insert, delete on OUTBOX to TABLE;
      alter table OUTBOX enable row level security`);
    expect((await examine(made)).of('pg outbox').status).toBe('ok');
    const url = server().url.replace('postgres@', `${table}@`);
    expect((await examine(made, { url })).of('pg outbox')).toMatchObject({
      status: 'fail',
      message: `row security may hide its rows from user ${table}`,
      advice: `ALTER TABLE ${outbox} DISABLE ROW LEVEL SECURITY, or ALTER ROLE … BYPASSRLS.`,
    });
  });

  it('warns of rows that nobody takes', async () => {
    const made = await triggerTable(server());
    const { outbox, sql } = made;
    await sql('insert into TABLE values (1); insert into TABLE values (2)');
    expect((await examine(made)).of('pg outbox')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(
        /^2 rows wait in .+, the oldest for [\d.]+ m?s$/,
      ) as string,
    });
    await sql(`update OUTBOX set created = created - interval '1 hour'`);
    const examined = examine(made);
    const writing = new AbortController();
    const written = (async () => {
      for (let id = 3; !writing.signal.aborted; id++) {
        await sql(`insert into TABLE values (${id})`);
      }
    })();
    const report = await examined.finally(() => writing.abort());
    await written;
    expect(report.of('pg outbox')).toMatchObject({
      status: 'warn',
      message: expect.stringMatching(
        new RegExp(
          `^\\d+ rows wait in ${outbox}, the oldest for 60 min; nobody empties it, and it grows: \\d+ more in 1 s$`,
        ),
      ) as string,
      advice: expect.stringContaining(
        'postgres drop --mode triggers',
      ) as string,
    });
  });
});

describeOnRedisServer('doctor of what triggers do not see', () => {
  it('warns of roles whose triggers are off, and of subscriptions', async () => {
    const made = await triggerTable(server());
    const { table, sql } = made;
    await sql(
      'create role TABLE; alter role TABLE set session_replication_role = replica',
    );
    await sql('create publication TABLE for table TABLE');
    await sql(
      `create subscription TABLE connection '${server().url}' publication TABLE with (create_slot = false, slot_name = none, enabled = false)`,
    );
    onTestFinished(async () => {
      await sql('drop subscription TABLE');
      await sql('drop role TABLE');
    });
    expect((await examine(made)).of('pg unseen')).toMatchObject({
      status: 'warn',
      message: `changes by ${table} are not seen: a setting makes session_replication_role replica; what a subscription writes to public.${table} is not seen`,
    });
  });
});

describeOnRedisServer('doctor of the record of a source by triggers', () => {
  it('warns where changes were missed', async () => {
    const made = await triggerTable(server());
    const channel = uniqueChannel();
    const redis = connectRaw(inject('redisUrl'));
    await redis.hset(
      relayKey(channel, `postgres-triggers:${made.outbox}`),
      'offset',
      'unseen',
    );
    expect((await examine(made, { channel })).of('pg record')).toMatchObject({
      status: 'warn',
      message: 'changes were missed',
    });
  });
});

describe('doctor --mode triggers', () => {
  it('reports a server that is away by one check', async () => {
    const { checks } = await doctorReport(
      '--url',
      inject('redisUrl'),
      '--postgres',
      'postgres://me:secret@127.0.0.1:1/db',
      '--mode',
      'triggers',
      '--tables',
      'public.users=User',
    );
    const found = checks.filter(({ name }) => /^(pg |postgres$)/.test(name));
    expect(found.map(({ status }) => status)).toEqual([
      'fail',
      'unknown',
      'unknown',
      'unknown',
      'warn',
    ]);
  });
});
