import { createServer, connect as dial, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import pg from 'pg';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { postgresChecks } from '../../lib/cli/doctor/postgres-checks.js';
import type { ServerFacts } from '../../lib/cli/doctor/postgres-server-view.js';
import { PostgresView } from '../../lib/cli/doctor/postgres-view.js';
import { PostgresLink } from '../../lib/cli/pg/postgres-link.js';
import { setupSql } from '../../lib/cli/pg/setup-sql.js';
import { RedisLink } from '../../lib/cli/redis-link.js';
import { targetFrom } from '../../lib/cli/target.js';
import { relayKey } from '../../lib/transport/index.js';
import { startHolder, uniqueName, useServer } from '../postgres/setup.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { doctorReport } from './doctor-report.js';
import { isPostgres } from '../support/postgres.js';

const KEPT_MIB = 96;
const server = useServer(
  isPostgres(13) ? { max_slot_wal_keep_size: `${KEPT_MIB}MB` } : {},
);
const plain = useServer({ wal_level: 'replica', max_replication_slots: '0' });

interface Examined {
  readonly name: string;
  readonly tables?: readonly string[];
  readonly url?: string;
  readonly channel?: string;
}

async function examine({
  name,
  tables = [],
  url = server().url,
  channel = uniqueChannel(),
}: Examined) {
  const report = await doctorReport(
    '--url',
    inject('redisUrl'),
    '--channel',
    channel,
    '--postgres',
    url,
    '--slot',
    name,
    '--publication',
    name,
    ...tables.flatMap((table) => ['--tables', table]),
  );
  const all = report.checks.filter(({ name: check }) =>
    /^(pg |postgres$)/.test(check),
  );
  return { ...report, all };
}

const urlAs = (user: string): string =>
  server().url.replace('postgres@', `${user}@`);

/** A table, and a source of it with the least rights. */
async function startSource() {
  const name = uniqueName();
  const channel = uniqueChannel();
  const table = `public.${name}`;
  await server().sql(`create table ${name} (id int primary key)`);
  await server().sql(
    known(setupSql({ tables: [table], slot: name, publication: name }, name)),
  );
  const app = await startHolder(
    {
      connection: urlAs(name),
      slot: name,
      publication: name,
      tables: { [table]: 'User' },
    },
    { channel },
  );
  const given = { name, channel, tables: [table], url: urlAs(name) };
  return { app, name, channel, given };
}

/** SQL without the option that PostgreSQL 12 does not know, there. */
function known(sql: string): string {
  if (isPostgres(13)) return sql;
  return sql.replace(/\s+with \(publish_via_partition_root[^)]*\)/i, '');
}

/** Runs SQL in which `$` stands for a new name. */
async function prepare(...commands: string[]): Promise<string> {
  const name = uniqueName();
  for (const command of commands) {
    await server().sql(known(command.replaceAll('$', name)));
  }
  return name;
}

async function makeSlot(name: string): Promise<void> {
  await server().sql(
    `select pg_create_logical_replication_slot('${name}', 'pgoutput')`,
  );
  onTestFinished(async () => {
    await server().sql(
      `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${name}' and active_pid is not null`,
    );
    await eventually(() =>
      server().sql(
        `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '${name}'`,
      ),
    );
  });
}

/** Reads a slot, and acknowledges nothing. */
async function holdBack(name: string): Promise<void> {
  const config: pg.ClientConfig & { readonly replication: string } = {
    connectionString: server().url,
    replication: 'database',
  };
  const client = new pg.Client(config);
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  void client
    .query(
      `START_REPLICATION SLOT "${name}" LOGICAL 0/0 (proto_version '1', publication_names '${name}')`,
    )
    .catch(() => null);
  await eventually(async () => {
    const [slot] = await server().sql(
      'select active from pg_replication_slots where slot_name = $1',
      [name],
    );
    expect(slot!['active']).toBe(true);
  });
}

/** Fills segments of the log, of 16 MiB each. */
async function fillLog(segments: number): Promise<void> {
  for (let i = 0; i < segments; i++) {
    await server().sql('create table filler (); drop table filler');
    await server().sql('select pg_switch_wal()');
  }
  await server().sql('checkpoint');
}

describeOnRedisServer('doctor of a PostgreSQL source', () => {
  it.runIf(isPostgres(13))(
    'reports ok for a source that works, by a user with the least rights',
    async () => {
      const { app, given } = await startSource();
      await server().sql(`insert into ${given.name} values (1)`);
      await app.next();
      const report = await examine(given);
      expect(report.all.map(({ name, status }) => `${name} ${status}`)).toEqual(
        [
          'postgres ok',
          'pg replication ok',
          'pg wal_level ok',
          'pg slot ok',
          'pg publication ok',
          'pg tables ok',
          'pg WAL limit ok',
          'pg timeout ok',
          'pg record ok',
        ],
      );
      expect(report.code).toBe(0);
      expect(report.of('postgres').message).toMatch(
        /^postgres:\/\/127\.0\.0\.1:\d+\/postgres, PostgreSQL \d+[^,]*, user t_\w+$/,
      );
      expect(report.of('pg replication').message).toBe(
        `user ${given.name} may replicate`,
      );
      expect(report.of('pg slot').message).toMatch(
        /^t_\w+: read by process \d+, [\d.]+ \w+ of log kept$/,
      );
      expect(report.of('pg tables')).toMatchObject({
        message: 'the log names the rows of the mapped table',
        details: [{ table: `public.${given.name}`, identity: 'primary key' }],
      });
      expect(report.of('pg WAL limit').message).toBe(
        'max_slot_wal_keep_size 96.0 MiB',
      );
      expect(report.of('pg timeout').message).toContain('10s');
      expect(report.of('pg record').message).toMatch(
        /^at [0-9A-F]+\/[0-9A-F]+, .+ behind the end of the log$/,
      );
    },
  );

  it('says what is to come where nothing was set up', async () => {
    const name = await prepare('create table $ (id int primary key)');
    const report = await examine({ name, tables: [`public.${name}`] });
    expect(report.code).toBe(0);
    expect(report.of('pg slot')).toMatchObject({
      status: 'warn',
      message: `there is none of the name ${name}`,
    });
    expect(report.of('pg publication')).toMatchObject({
      status: 'warn',
      message: `there is none of the name ${name}`,
      advice: 'The next instance that takes the slot completes it.',
    });
    expect(report.of('pg record').message).toContain('nothing was announced');
    expect(report.of('pg replication').message).toContain('a superuser');
  });

  it('takes the published tables where none are given', async () => {
    const name = await prepare(
      'create table $ (id int primary key)',
      'create publication $ for table $ with (publish_via_partition_root)',
    );
    const report = await examine({ name });
    expect(report.of('pg publication').message).toBe(
      `${name} has public.${name}; --tables compares it`,
    );
    expect(report.of('pg tables').status).toBe('ok');
    expect((await examine({ name: uniqueName() })).of('pg tables')).toEqual({
      name: 'pg tables',
      status: 'unknown',
      message: 'give --tables to check them',
    });
  });
});

describeOnRedisServer('doctor of the slot', () => {
  it('warns of one that nobody reads', async () => {
    const name = uniqueName();
    await makeSlot(name);
    expect((await examine({ name })).of('pg slot')).toMatchObject({
      status: 'warn',
      message: expect.stringMatching(
        /: nobody reads it, [\d.]+ \w+ of log kept$/,
      ) as string,
      advice: expect.stringContaining('postgres drop') as string,
    });
  });

  it.runIf(isPostgres(13))(
    'warns of one that keeps much log, and fails for one that is lost',
    async () => {
      const name = await prepare('create publication $');
      await makeSlot(name);
      await holdBack(name);
      await fillLog(5);
      expect((await examine({ name })).of('pg slot')).toMatchObject({
        status: 'warn',
        message: expect.stringMatching(
          /read by process \d+, [\d.]+ MiB of log kept, over 48\.0 MiB$/,
        ) as string,
      });
      const lost = uniqueName();
      await makeSlot(lost);
      await fillLog(10);
      const report = await examine({ name: lost });
      expect(report.of('pg slot')).toMatchObject({
        status: 'fail',
        message: `${lost} is lost (wal_removed): the log that it needs is gone`,
      });
      expect(report.code).toBe(1);
    },
  );

  it('fails for one of another database', async () => {
    const name = await prepare('create database $');
    await makeSlot(name);
    const url = server().url.replace(/\w+$/, name);
    expect((await examine({ name, url })).of('pg slot')).toMatchObject({
      status: 'fail',
      message: `${name} is of plugin pgoutput and database postgres`,
    });
  });
});

describeOnRedisServer('doctor of publication and tables', () => {
  const HIDING: readonly [options: string, message: RegExp, since: number][] = [
    ["with (publish = 'insert')", /hides some kinds of changes$/, 12],
    [
      'with (publish_via_partition_root = false)',
      /hides some kinds of changes$/,
      13,
    ],
    [
      'where (id > 1) with (publish_via_partition_root)',
      /hides some rows of public\.t_\w+$/,
      15,
    ],
  ];

  it.each(HIDING.filter(([, , since]) => isPostgres(since)))(
    'fails for a publication %s',
    async (options, message) => {
      const name = await prepare(
        'create table $ (id int primary key)',
        `create publication $ for table $ ${options}`,
      );
      for (const tables of [[], [`public.${name}`]]) {
        expect((await examine({ name, tables })).of('pg publication')).toEqual({
          name: 'pg publication',
          status: 'fail',
          message: expect.stringMatching(message) as string,
          advice: expect.any(String) as string,
        });
      }
    },
  );

  it('fails for a publication that the user may not complete', async () => {
    const name = await prepare(
      'create table $ (id int primary key)',
      'create publication $ with (publish_via_partition_root)',
      'create role $ login replication',
      'grant create on database postgres to $',
    );
    const tables = [`public.${name}`];
    const owner = await examine({ name, tables });
    expect(owner.of('pg publication').status).toBe('warn');
    const other = await examine({ name, tables, url: urlAs(name) });
    expect(other.of('pg publication')).toMatchObject({
      status: 'fail',
      message: `${name} lacks public.${name}, and user ${name} may not add it`,
    });
  });

  it('names each table whose rows the log does not name', async () => {
    const name = await prepare(
      'create schema $',
      'create table $.good (id int primary key)',
      'create table $.whole (id int)',
      'alter table $.whole replica identity full',
      'create table $.bare (id int)',
      'create table $.nothing (id int primary key)',
      'alter table $.nothing replica identity nothing',
      'create unlogged table $.unlogged (id int primary key)',
      'create view $.view as select 1',
      'create table $.parent (id int primary key)',
      'create table $.child () inherits ($.parent)',
      'create table $.parts (id int) partition by list (id)',
      'alter table $.parts replica identity full',
      'create table $.part partition of $.parts for values in (1)',
    );
    const tables = [
      'good',
      'whole',
      'bare',
      'nothing',
      'unlogged',
      'view',
      'parent',
      'parts',
      'absent',
    ].map((table) => `${name}.${table}`);
    const { status, message, details } = (await examine({ name, tables })).of(
      'pg tables',
    );
    expect(status).toBe('fail');
    expect(message.replaceAll(`${name}.`, '').split('; ')).toEqual([
      'bare has no replica identity: once it is published, its updates and deletes fail',
      'nothing has no replica identity: once it is published, its updates and deletes fail',
      'unlogged is unlogged or temporary: the log does not have its changes',
      'view is no table',
      'parent has tables that inherit from it, which are published by their own names',
      'a partition of parts has no replica identity: its updates and deletes fail',
      'there is no table absent',
    ]);
    expect(details!.map(({ identity }) => identity)).toEqual([
      'primary key',
      'full row',
      'none: no primary key',
      'nothing',
      'primary key',
      'nothing',
      'primary key',
      'full row',
      'no such table',
    ]);
  });

  it.runIf(isPostgres(13))(
    'judges partitions by what the log has of them',
    async () => {
      const name = await prepare(
        'create schema $',
        'create table $.good (id int primary key, n int) partition by list (id)',
        'create table $.good_1 partition of $.good for values in (1)',
        'alter table $.good_1 replica identity full',
        'create table $.loose (id int primary key, n int) partition by list (id)',
        'create unlogged table $.loose_1 partition of $.loose for values in (1)',
        'create table $.root (id int primary key, n int) partition by list (id)',
        'create table $.tree partition of $.root for values in (1) partition by list (id)',
        'create table $.leaf partition of $.tree for values in (1)',
        'alter table $.root replica identity full',
        'create publication $ for table $.root with (publish_via_partition_root)',
      );
      const checkOf = async (...tables: string[]) => {
        const given = tables.map((table) => `${name}.${table}`);
        const report = await examine({ name, tables: given });
        const { status, message } = report.of('pg tables');
        return `${status}: ${message.replaceAll(`${name}.`, '')}`;
      };
      expect(await checkOf('good')).toMatch(/^ok/);
      expect(await checkOf('loose')).toBe(
        'fail: a partition of loose is unlogged: the log does not have its changes',
      );
      const lesser =
        'warn: a partition of root logs less of old rows than its root: a mapping that reads more of them invalidates the types';
      expect(await checkOf('root')).toBe(lesser);
      expect(await checkOf()).toBe(lesser);
      expect(await checkOf('leaf')).toBe(
        'fail: leaf is a partition of root, whose name its changes are published under',
      );
      expect(await checkOf('tree', 'leaf')).toMatch(
        /^fail: tree is a partition of root, .*; leaf is a partition of (root|tree), /,
      );
      await server().sql(`alter table ${name}.leaf replica identity full`);
      expect(await checkOf('root')).toMatch(/^ok/);
    },
  );
});

describeOnRedisServer('doctor of the record', () => {
  it('compares it with the server and the slot', async () => {
    const { app, name, channel, given } = await startSource();
    const redis = connectRaw(inject('redisUrl'));
    const key = relayKey(channel, `postgres:${name}`);
    const offset = (await redis.hget(key, 'offset'))!;
    await app.context.close();
    const elsewhere = await examine({ ...given, channel: uniqueChannel() });
    expect(elsewhere.of('pg record').message).toContain(
      'nothing was announced',
    );
    const messageFor = async (record: string): Promise<string> => {
      await redis.hset(key, 'offset', record);
      const { status, message } = (await examine(given)).of('pg record');
      return `${status}: ${message.replace(/^at \S+, /, '')}`;
    };
    const [system, timeline, start, rest] = offset.split('.');
    const place = (...parts: (string | undefined)[]): string => parts.join('.');
    expect(await messageFor(offset)).toMatch(/^ok: .+ behind the end/);
    expect(await messageFor(place('1', timeline, start, rest))).toBe(
      'warn: of another server',
    );
    expect(await messageFor(place(system, '9', start, rest))).toMatch(
      /^warn: of another timeline/,
    );
    expect(await messageFor(place(system, timeline, 'x', rest))).toBe(
      'warn: of another database, or the server was started again since',
    );
    expect(await messageFor(offset.replace(/@.*/, '@0/1'))).toMatch(
      /^warn: and the slot is beyond it/,
    );
    expect(await messageFor(offset.replace(/@.*/, '@FFFF/0'))).toMatch(
      /^warn: beyond the end of the log/,
    );
    expect(await messageFor('a\x1b')).toBe('warn: it cannot be read: a\\u001b');
  });

  it('warns of a slot whose reader announces elsewhere', async () => {
    const { given } = await startSource();
    const report = await examine({ ...given, channel: uniqueChannel() });
    expect(report.of('pg record')).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('announces elsewhere') as string,
    });
  });
});

describeOnRedisServer('doctor of the server', () => {
  it('fails for a server without logical replication', async () => {
    const report = await examine({ name: uniqueName(), url: plain().url });
    expect(report.code).toBe(1);
    expect(report.of('pg wal_level')).toMatchObject({
      status: 'fail',
      message: 'replica: the log holds no rows',
    });
    expect(report.of('pg slot')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('all 0 slots') as string,
    });
    expect(report.of('pg WAL limit')).toMatchObject({
      status: 'warn',
      message: expect.stringMatching(
        /none: a slot that nobody reads fills the disk$/,
      ) as string,
    });
  });

  it('fails once for a server that cannot be reached, and shows no password', async () => {
    const report = await examine({
      name: uniqueName(),
      url: 'postgres://me:secret@127.0.0.1:1/db',
    });
    expect(report.code).toBe(1);
    expect(report.of('postgres')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining(
        'Cannot reach PostgreSQL at postgres://127.0.0.1:1/db: connect ECONNREFUSED',
      ) as string,
    });
    for (const { name, status, message } of report.all.slice(1)) {
      expect({ name, status, message }).toEqual({
        name,
        status: 'unknown',
        message: 'PostgreSQL cannot be queried',
      });
    }
    expect(JSON.stringify(report.all)).not.toContain('secret');
  });

  it('fails for a user without the right to replicate', async () => {
    const name = await prepare('create role $ login');
    const report = await examine({ name, url: urlAs(name) });
    expect(report.of('pg replication')).toMatchObject({
      status: 'fail',
      message: `user ${name} may not replicate`,
    });
    expect(report.of('pg timeout').status).toBe('unknown');
  });

  it('accepts a proxy that lets replication through', async () => {
    const proxied = await startPooler({ replication: server().port });
    const report = await examine({ name: uniqueName(), url: proxied });
    expect(report.of('pg replication')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('through a proxy') as string,
    });
  });

  it('fails for a pooler', async () => {
    const url = await startPooler({ replication: null });
    expect((await examine({ name: uniqueName(), url })).of('pg replication'))
      // The form of PgBouncer's refusal.
      .toMatchObject({
        status: 'fail',
        message:
          'a pooler stands between, which lets no replication through: unsupported startup parameter: replication',
      });
  });

  it('fails for an address that leads to two servers', async () => {
    const url = await startPooler({ replication: plain().port });
    expect(
      (await examine({ name: uniqueName(), url })).of('pg replication'),
    ).toMatchObject({
      status: 'fail',
      message: 'connections for queries and for replication reach two servers',
    });
  });
});

describe('postgresChecks()', () => {
  const facts: ServerFacts = {
    version: 180_000,
    name: '18.0',
    is_standby: false,
    user: 'app',
    is_super: false,
    pid: 1,
    wal_level: 'logical',
    may_create: false,
    max_slots: 10,
    slots: 0,
    wal_keep: null,
    start: '',
  };

  async function judge(
    check: string,
    given: Partial<ServerFacts>,
  ): Promise<string> {
    class Fixed extends PostgresView {
      override async server(): Promise<ServerFacts> {
        return { ...facts, ...given };
      }
    }
    const link = new PostgresLink(new URL('postgres://h/d'), 100);
    const names = { tables: [], slot: 's', publication: 'p' };
    const redis = new RedisLink(targetFrom({}, {}));
    onTestFinished(() => redis.close());
    const { run } = postgresChecks(new Fixed(link, names)).find(
      ({ name }) => name === check,
    )!;
    const { status, message } = await run(redis);
    return `${status}: ${message}`;
  }

  it.each([
    [{ version: 110_020 }, 'fail'],
    [{ version: 120_000 }, 'ok'],
    [{ version: 180_004 }, 'ok'],
    [{ version: 190_000 }, 'warn'],
    [{ is_standby: true }, 'fail'],
  ])('judges a server with %j: %s', async (given, status) => {
    expect(await judge('postgres', given)).toMatch(new RegExp(`^${status}: `));
  });

  it.each([
    [null, 'warn: PostgreSQL 12 has none'],
    [-1, 'warn: none'],
    [0, 'ok: max_slot_wal_keep_size 0 B'],
    [10_240, 'ok: max_slot_wal_keep_size 10.0 GiB'],
  ])('judges a limit of %j', async (wal_keep, text) => {
    expect(await judge('pg WAL limit', { wal_keep })).toContain(text);
  });
});

/**
 * Stands before the server with ids of processes of its own, as poolers do.
 *
 * @param replication the port for connections that ask for replication; `null` refuses them
 * @returns its URL
 */
async function startPooler({
  replication,
}: {
  replication: number | null;
}): Promise<string> {
  const pooler = createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', (startup) => {
      const isReplication = startup.includes('replication\0');
      const port = isReplication ? replication : server().port;
      if (port === null) {
        client.end(refusal());
        return;
      }
      const upstream = dial(port, '127.0.0.1');
      upstream.on('error', () => client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.write(startup);
      client.pipe(upstream);
      upstream.on('data', (data) => {
        const key = data.indexOf('K\0\0\0\x0c');
        if (key >= 0) data.writeUInt32BE(1, key + 5);
        client.write(data);
      });
      upstream.on('close', () => client.destroy());
    });
  }).listen(0, '127.0.0.1');
  await once(pooler, 'listening');
  onTestFinished(() => void pooler.close());
  const { port } = pooler.address() as AddressInfo;
  return server().url.replace(/:\d+\//, `:${port}/`);
}

function refusal(): Buffer {
  const fields = Buffer.from(
    'SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: replication\0\0',
  );
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
