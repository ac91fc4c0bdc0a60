import { describe, expect, it, onTestFinished } from 'vitest';
import { relayKey } from '../../lib/transport/index.js';
import { connectRaw } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startHolder, startSourceApp, uniqueName, useServer } from './setup.js';

const server = useServer({ synchronous_commit: 'local' });

/**
 * A table, its holder, and writers whose commits are in the log and not visible: they
 * wait for a standby that does not exist.
 */
async function waitingForStandby(visibility: number) {
  const table = uniqueName();
  await server().sql(`create table ${table} (id int primary key)`);
  const options = {
    connection: server().url,
    slot: uniqueName(),
    tables: { [`public.${table}`]: 'User' },
    visibility,
  };
  const app = await startHolder(options);
  const setStandbys = async (names: string): Promise<void> => {
    await server().sql(
      `alter system set synchronous_standby_names = '${names}'`,
    );
    await server().sql('select pg_reload_conf()');
  };
  await setStandbys('missing');
  onTestFinished(() => setStandbys(''));
  const visible = async (): Promise<unknown[]> =>
    (await server().sql(`select id from ${table} order by id`)).map(
      ({ id }) => id,
    );
  const { slot } = options;
  return {
    app,
    slot,
    /** Another instance, on the channel of the first one. */
    another: () => startSourceApp(options, { channel: app.channel }),
    visible,
    insert: (id: number) => server().sql(`insert into ${table} values (${id})`),
    /** Commits, unseen: the promise resolves when it is seen. */
    insertUnseen: (id: number): Promise<unknown> =>
      server().sql(
        `set synchronous_commit = on; insert into ${table} values (${id})`,
      ),
    release: () => setStandbys(''),
    confirmed: async () => {
      const [row] = await server().sql(
        'select confirmed_flush_lsn::text as lsn from pg_replication_slots where active',
      );
      return row!['lsn'];
    },
    /** The time of the last acknowledgement. */
    heardAt: async () => {
      const [row] = await server().sql(
        'select reply_time::text as at from pg_stat_replication',
      );
      return row!['at'];
    },
    isReached: async (lsn: unknown, by: unknown) => {
      const [row] = await server().sql(
        'select $1::pg_lsn <= $2::pg_lsn as reached',
        [lsn, by],
      );
      return row!['reached'];
    },
  };
}

describe('a commit that is in the log and not visible', () => {
  it('is announced when it is visible, and overtaken by one that is', async () => {
    const { app, insert, insertUnseen, release, visible } =
      await waitingForStandby(60_000);
    const seen: unknown[] = [];
    app.subscriber.messages$.subscribe(
      () => void visible().then((ids) => seen.push(ids)),
    );
    const waiting = insertUnseen(1);
    await eventually(() => expect(app.source.status().transactions).toBe(1));
    await insert(2);
    expect(await app.next()).toEqual(['User:2']);
    await eventually(() => expect(seen).toEqual([[2]]));
    await release();
    await waiting;
    expect(await app.next()).toEqual(['User:1']);
    await eventually(() => expect(seen).toEqual([[2], [1, 2]]));
    await insert(3);
    expect(await app.next()).toEqual(['User:3']);
    await eventually(() => expect(app.source.status().lagBytes).toBe(0));
  });

  it('is announced late, again when it is visible, and acknowledged only then', async () => {
    const {
      app,
      insert,
      insertUnseen,
      release,
      visible,
      confirmed,
      heardAt,
      isReached,
    } = await waitingForStandby(300);
    const [{ lsn } = {}] = await server().sql(
      'select pg_current_wal_lsn()::text as lsn',
    );
    const waiting = insertUnseen(1);
    expect(await app.next()).toEqual(['User:1']);
    expect(await visible()).toEqual([]);
    for (let id = 2; id <= 20; id++) await insert(id);
    await eventually(() => expect(app.said).toHaveLength(21));
    await app.next(0);
    const before = await heardAt();
    await eventually(async () => expect(await heardAt()).not.toBe(before));
    expect(await isReached(await confirmed(), lsn)).toBe(true);
    expect(app.source.status().lagBytes).toBeGreaterThan(0);
    await release();
    await waiting;
    expect(await app.next()).toEqual(['User:1']);
    await eventually(async () =>
      expect(await isReached(await confirmed(), lsn)).toBe(false),
    );
    const ids = app.messages.map(({ messageId }) => messageId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is announced by the next holder if this one ends meanwhile', async () => {
    const { app, insertUnseen, release } = await waitingForStandby(60_000);
    const waiting = insertUnseen(1);
    await eventually(() => expect(app.source.status().transactions).toBe(1));
    const [{ active_pid: pid } = {}] = await server().sql(
      'select active_pid from pg_replication_slots where active',
    );
    await server().sql('select pg_terminate_backend($1)', [pid]);
    await eventually(() => expect(app.source.status().transactions).toBe(2));
    expect(app.said).toEqual(['user:*']);
    await release();
    await waiting;
    expect(await app.next()).toEqual(['User:1']);
  });

  it('is announced ahead of its turn again if Redis loses that', async () => {
    const { app, slot, insert, insertUnseen, release, confirmed } =
      await waitingForStandby(60_000);
    const redis = connectRaw();
    const record = relayKey(app.channel, `postgres:${slot}`);
    // Else a heartbeat may move the record once it was read.
    await eventually(async () => {
      const [end] = await server().sql(
        'select pg_current_wal_lsn()::text as lsn',
      );
      expect(await confirmed()).toBe(end!['lsn']);
    });
    const before = await redis.hgetall(record);
    const waiting = insertUnseen(1);
    await eventually(() => expect(app.source.status().transactions).toBe(1));
    await insert(2);
    expect(await app.next()).toEqual(['User:2']);
    const after = await redis.hgetall(record);
    expect(after).not.toEqual(before);
    // A replica that lacks the last call takes over.
    await redis.hset(record, { restarts: '0', ...before });
    expect(await app.next()).toEqual(['User:2']);
    await release();
    await waiting;
    expect(await app.next()).toEqual(['User:1']);
    expect(app.source.status().widened).toEqual({ 'first-start': 1 });
  });

  it('holds back the types that are invalidated for a slot beyond it', async () => {
    const { app, slot, another, insertUnseen, release, visible } =
      await waitingForStandby(60_000);
    await app.close();
    const waiting = insertUnseen(1);
    await eventually(async () => {
      const [row] = await server().sql(
        `select count(*)::int from pg_stat_activity where wait_event = 'SyncRep'`,
      );
      expect(row).toEqual({ count: 1 });
    });
    await server().sql(
      'select pg_replication_slot_advance($1, pg_current_wal_lsn())',
      [slot],
    );
    const second = await another();
    await eventually(() =>
      expect(second.source.status().widened).toEqual({ slot: 1 }),
    );
    const seen: unknown[] = [];
    second.subscriber.messages$.subscribe(
      () => void visible().then((ids) => seen.push(ids)),
    );
    const asked = await server().sql('select count(*) from pg_stat_activity');
    expect(asked).toHaveLength(1);
    expect(second.said).toEqual([]);
    await release();
    await waiting;
    expect(await second.next()).toEqual(['user:*']);
    await eventually(() => expect(seen).toEqual([[1]]));
  });
});
