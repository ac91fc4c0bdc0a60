import pg from 'pg';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { CacheInvalidationPostgresOptions } from 'nestjs-cache-invalidation/postgres';
import { journalKey, relayKey } from '../../lib/transport/index.js';
import {
  connectRaw,
  LogRecorder,
  uniqueChannel,
  type AppOptions,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import {
  startHolder,
  startSourceApp,
  uniqueName,
  useServer,
  type SourceApp,
} from './setup.js';
import { isPostgres } from '../support/postgres.js';

const server = useServer({
  max_wal_senders: '20',
  max_replication_slots: '40',
});

/** A table, and instances that share a slot for it. */
async function sharing() {
  const table = uniqueName();
  const slot = uniqueName();
  const channel = uniqueChannel();
  await server().sql(`create table ${table} (id int primary key)`);
  const options = {
    connection: server().url,
    slot,
    tables: { [`public.${table}`]: 'User' },
  };
  onTestFinished(async () => {
    await server().sql(`drop publication if exists ${slot}`);
  });
  return {
    table,
    slot,
    channel,
    insert: (id: number) => server().sql(`insert into ${table} values (${id})`),
    holder: (
      given: Partial<CacheInvalidationPostgresOptions> = {},
      app: AppOptions = {},
    ) => startHolder({ ...options, ...given }, { channel, ...app }),
    start: (
      given: Partial<CacheInvalidationPostgresOptions> = {},
      app: AppOptions = {},
    ) => startSourceApp({ ...options, ...given }, { channel, ...app }),
    confirmed: async () => {
      const [row] = await server().sql(
        'select confirmed_flush_lsn::text as lsn, active, active_pid from pg_replication_slots where slot_name = $1',
        [slot],
      );
      return row!;
    },
  };
}

async function proxied(): Promise<{ proxy: Proxy; connection: string }> {
  const proxy = await startProxy(server().port);
  onTestFinished(() => proxy.close());
  return {
    proxy,
    connection: server().url.replace(`:${server().port}`, `:${proxy.port}`),
  };
}

async function untilState(app: SourceApp, state: string): Promise<void> {
  await eventually(() => expect(app.source.status().state).toBe(state), {
    timeout: 15_000,
  });
}

describe('the slot', () => {
  it('is held by one instance, and goes to another one when that stops', async () => {
    const { start, insert, holder } = await sharing();
    const first = await holder();
    const second = await start();
    await untilState(second, 'standby');
    await insert(1);
    expect(await second.next()).toEqual(['User:1']);
    await first.close();
    expect(first.source.status().state).toBe('off');
    await insert(2);
    await untilState(second, 'holder');
    expect(await second.next()).toEqual(['User:2']);
    expect(second.source.status().widened).toEqual({});
    expect(second.said).toEqual(['User:1', 'User:2']);
  });

  it.each(['answers', 'is silent'])(
    'leaves no connection behind when the server %s',
    async (manner) => {
      const { proxy, connection } = await proxied();
      const { holder } = await sharing();
      const connects = vi.spyOn(pg.Client.prototype, 'connect');
      onTestFinished(() => connects.mockRestore());
      const app = await holder({ connection });
      const sockets = (connects.mock.contexts as pg.Client[])
        .filter(({ port }) => port === proxy.port)
        .map((client) => client.connection.stream);
      expect(sockets).toHaveLength(2);
      if (manner === 'is silent') proxy.swallow();
      await app.close();
      expect(sockets.map(({ closed }) => closed)).toEqual([true, true]);
    },
  );

  it('is acknowledged as far as it was announced when the holder stops', async () => {
    const { insert, holder, confirmed } = await sharing();
    const first = await holder({ heartbeat: 60_000, timeout: 120_000 });
    await insert(1);
    await first.next();
    const { lsn: before } = await confirmed();
    await first.close();
    const { lsn: after, active } = await confirmed();
    expect(active).toBe(false);
    const [{ moved } = {}] = await server().sql(
      'select $1::pg_lsn > $2::pg_lsn as moved',
      [after, before],
    );
    expect(moved).toBe(true);
  });

  it('goes to another instance when the holder is cut off, which announces nothing twice', async () => {
    const { start, insert, holder } = await sharing();
    const { proxy, connection } = await proxied();
    // A holder that never acknowledges.
    const first = await holder({
      connection,
      heartbeat: 60_000,
      timeout: 120_000,
    });
    const second = await start();
    await untilState(second, 'standby');
    await insert(1);
    expect(await second.next()).toEqual(['User:1']);
    proxy.swallow();
    proxy.cut();
    await untilState(second, 'holder');
    await untilState(first, 'away');
    await insert(2);
    expect(await second.next()).toEqual(['User:2']);
    expect(second.source.status()).toMatchObject({
      transactions: 1,
      widened: {},
    });
    expect(second.said).toEqual(['User:1', 'User:2']);
  });

  it('is left by a holder that hears nothing from the server', async () => {
    const { insert, holder } = await sharing();
    const { proxy, connection } = await proxied();
    const app = await holder({ connection, timeout: 400 });
    proxy.swallow();
    await untilState(app, 'away');
    expect(app.source.status().fault?.message).toMatch(
      /silent|did not answer|timeout/,
    );
    await insert(1);
    proxy.pass();
    proxy.cut();
    expect(await app.next()).toEqual(['User:1']);
    await untilState(app, 'holder');
  });

  it('is taken from a holder that the server does not hear', async () => {
    const { start, insert, holder } = await sharing();
    const { proxy, connection } = await proxied();
    const first = await holder({ connection, timeout: 1_000 });
    const second = await start();
    await untilState(second, 'standby');
    // The first one hears the server, and not the other way round.
    proxy.swallow('up');
    await untilState(second, 'holder');
    await untilState(first, 'away');
    await insert(1);
    expect(await second.next()).toEqual(['User:1']);
    expect(second.said).toEqual(['User:1']);
  });

  it('is made again when it was dropped, and the types are invalidated', async () => {
    const { slot, insert, holder, confirmed } = await sharing();
    const app = await holder();
    // Unless the holder has it again in between.
    await eventually(async () => {
      const { active_pid: pid } = await confirmed();
      await server().sql(
        `do $$ begin
           perform pg_terminate_backend(${pid as number});
           for look in 1..5000 loop
             exit when not active from pg_replication_slots where slot_name = '${slot}';
             perform pg_sleep(0.001);
           end loop;
           perform pg_drop_replication_slot('${slot}');
         end $$`,
      );
    });
    await eventually(() => expect(app.said).toEqual(['user:*', 'user:*']));
    expect(app.source.status().widened).toEqual({ 'first-start': 1, slot: 1 });
    await app.next();
    await insert(1);
    expect(await app.next()).toEqual(['User:1']);
  });

  it.runIf(isPostgres(13))(
    'is made again when the server has removed its log',
    async () => {
      const { slot, insert, holder, start } = await sharing();
      const first = await holder();
      await first.close();
      await insert(1);
      await server().sql(`alter system set max_slot_wal_keep_size = '1MB'`);
      await server().sql('select pg_reload_conf()');
      onTestFinished(async () => {
        await server().sql('alter system reset max_slot_wal_keep_size');
        await server().sql('select pg_reload_conf()');
      });
      await eventually(
        async () => {
          await server().sql('select pg_logical_emit_message(false, $1, $1)', [
            'x',
          ]);
          await server().sql('select pg_switch_wal()');
          await server().sql('checkpoint');
          const [row] = await server().sql(
            'select wal_status from pg_replication_slots where slot_name = $1',
            [slot],
          );
          expect(row).toEqual({ wal_status: 'lost' });
        },
        { timeout: 20_000 },
      );
      const second = await start();
      expect(await second.next()).toEqual(['user:*']);
      expect(second.source.status()).toMatchObject({
        state: 'holder',
        widened: { slot: 1 },
      });
      await insert(2);
      expect(await second.next()).toEqual(['User:2']);
    },
  );

  it('invalidates the types when somebody has moved it', async () => {
    const { slot, insert, holder, start } = await sharing();
    const first = await holder();
    await first.close();
    await insert(1);
    await server().sql(
      `select pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`,
    );
    const second = await start();
    expect(await second.next()).toEqual(['user:*']);
    expect(second.source.status().widened).toEqual({ slot: 1 });
  });

  it('invalidates the types when another version maps the tables otherwise', async () => {
    const { holder, start, table } = await sharing();
    const first = await holder();
    await first.close();
    const second = await start({ tables: { [`public.${table}`]: 'member' } });
    expect(await second.next()).toEqual(['member:*']);
    expect(second.source.status().widened).toEqual({ definition: 1 });
  });

  it('is made anew when a table is added to the publication', async () => {
    const { holder, start, table } = await sharing();
    const first = await holder();
    await first.close();
    const other = uniqueName();
    await server().sql(`create table ${other} (id int primary key)`);
    const tables = { [`public.${table}`]: 'User', [`public.${other}`]: 'team' };
    const second = await start({ tables });
    expect(await second.next(2)).toEqual(['user:*', 'team:*']);
    await server().sql(`insert into ${other} values (1)`);
    expect(await second.next()).toEqual(['team:1']);
  });

  it.runIf(isPostgres(13))(
    'is waited for while another instance completes the publication',
    async () => {
      const { start, slot, table } = await sharing();
      const other = await server().connect();
      await other.query(`begin; create publication ${slot} for table ${table}
      with (publish_via_partition_root = true)`);
      const logger = new LogRecorder();
      const app = await start({}, { logger });
      await eventually(async () => {
        const [waiting] = await server().sql(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%' || $1 || '%'`,
          [slot],
        );
        expect(waiting).toBeDefined();
      });
      await other.query('commit');
      await untilState(app, 'holder');
      expect(logger.errors).toEqual([]);
    },
  );

  it('reports what PostgreSQL refuses, also with the code of a publication that is there', async () => {
    const { start, slot } = await sharing();
    await server().sql(`
      create function ${slot}() returns event_trigger language plpgsql
        as $$ begin raise duplicate_object using message = 'it is there'; end $$;
      create event trigger ${slot} on ddl_command_start when tag in ('CREATE PUBLICATION')
        execute function ${slot}()`);
    const remove = () =>
      server().sql(`drop function if exists ${slot} cascade`);
    onTestFinished(async () => void (await remove()));
    const app = await start();
    await eventually(() =>
      expect(app.source.status().fault?.message).toContain('it is there'),
    );
    expect(app.source.status().state).toBe('away');
    await remove();
    await untilState(app, 'holder');
  });

  it('is made anew when a table is taken out of the publication', async () => {
    const { holder, insert, slot, table } = await sharing();
    const app = await holder();
    await server().sql(`alter publication ${slot} drop table ${table}`);
    expect(await app.next()).toEqual(['user:*']);
    await insert(1);
    expect(await app.next()).toEqual(['User:1']);
    await server().sql(
      `drop table ${table}; create table ${table} (id int primary key)`,
    );
    expect(await app.next()).toEqual(['user:*']);
    await insert(1);
    expect(await app.next()).toEqual(['User:1']);
  });

  it('keeps no log for writes to other tables', async () => {
    const { holder, confirmed } = await sharing();
    await holder();
    await server().sql(
      `create table ${uniqueName()} as select generate_series(1, 1000)`,
    );
    const [{ lsn } = {}] = await server().sql(
      'select pg_current_wal_lsn()::text as lsn',
    );
    await eventually(async () => {
      const [row] = await server().sql(
        'select $1::pg_lsn >= $2::pg_lsn as reached',
        [(await confirmed())['lsn'], lsn],
      );
      expect(row).toEqual({ reached: true });
    });
  });
});

describe('Redis', () => {
  itOnRedisServer('keeps everything on the server while it hangs', async () => {
    const redis = await startServer();
    const { insert, holder, confirmed } = await sharing();
    const app = await holder(
      {},
      { connection: redis.url, heartbeatTimeout: 500, heartbeatInterval: 200 },
    );
    await insert(1);
    expect(await app.next()).toEqual(['User:1']);
    await eventually(() => expect(app.source.status().lagBytes).toBe(0));
    redis.pause();
    const [{ lsn } = {}] = await server().sql(
      'select pg_current_wal_lsn()::text as lsn',
    );
    for (let id = 2; id <= 50; id++) await insert(id);
    await eventually(() => expect(app.source.status().state).toBe('away'), {
      timeout: 15_000,
    });
    const [row] = await server().sql(
      'select $1::pg_lsn <= $2::pg_lsn as kept',
      [(await confirmed())['lsn'], lsn],
    );
    expect(row).toEqual({ kept: true });
    redis.resume();
    await eventually(() => expect(app.said.at(-1)).toBe('User:50'), {
      timeout: 15_000,
    });
    // The journal, since a reader may widen what it reads late.
    const journal = journalKey(app.channel);
    const entries = await connectRaw(redis.url).xrange(journal, '-', '+');
    const ids = entries.map(([, [, text = '']]) => JSON.parse(text).entity_id);
    expect(ids).toEqual([
      null,
      ...Array.from({ length: 50 }, (_, at) => `${at + 1}`),
    ]);
    expect(app.source.status().widened).toEqual({ 'first-start': 1 });
  });

  it('that has lost the record gets the types again', async () => {
    const redis = await startServer();
    const { insert, holder } = await sharing();
    const app = await holder({}, { connection: redis.url });
    await insert(1);
    await app.next();
    await redis.restart();
    await insert(2);
    await eventually(() => expect(app.said.slice(2)).toContain('user:*'), {
      timeout: 15_000,
    });
    expect(app.source.status().widened).toMatchObject({ 'first-start': 2 });
  });

  it('tells a holder that another one has moved the record', async () => {
    const { insert, holder, slot, channel } = await sharing();
    const app = await holder();
    const record = relayKey(channel, `postgres:${slot}`);
    await connectRaw().hset(record, 'offset', 'elsewhere');
    await insert(1);
    await eventually(() => expect(app.said.slice(1)).toContain('User:1'));
    expect(app.said.slice(1, 2)).toEqual(['user:*']);
  });
});

describe('PostgreSQL', () => {
  it('may be away when the application starts, and later', async () => {
    const { insert, start } = await sharing();
    const { proxy, connection } = await proxied();
    proxy.swallow();
    const logger = new LogRecorder();
    const app = await start({ connection, timeout: 300 }, { logger });
    expect(app.source.status().state).toBe('away');
    await eventually(() =>
      expect(logger.errors.join()).toContain(
        'Changes in PostgreSQL are not announced',
      ),
    );
    proxy.pass();
    proxy.cut();
    await untilState(app, 'holder');
    await app.next();
    proxy.cut();
    await insert(1);
    expect(await app.next()).toEqual(['User:1']);
  });

  it.each([
    ['does not exist', 'select 1', 'There is no table'],
    [
      'has no replica identity',
      'create table TABLE (id int)',
      'has no replica identity',
    ],
    [
      'is a parent',
      'create table TABLE (id int primary key); create table TABLE_c () inherits (TABLE)',
      'inherit from it',
    ],
  ])('is left alone if a table %s', async (_, sql, problem) => {
    const table = uniqueName();
    await server().sql(sql.replaceAll('TABLE', table));
    const app = await startSourceApp({
      connection: server().url,
      tables: { [`public.${table}`]: 'User' },
    });
    await eventually(() =>
      expect(app.source.status().fault?.message).toContain(problem),
    );
    expect(app.source.status().state).toBe('away');
    await server().sql(
      `drop table if exists ${table} cascade; create table ${table} (id int primary key)`,
    );
    expect(await app.next()).toEqual(['user:*']);
    await server().sql(`insert into ${table} values (1)`);
    expect(await app.next()).toEqual(['User:1']);
    expect(app.source.status()).toMatchObject({ state: 'holder', fault: null });
  });
});
