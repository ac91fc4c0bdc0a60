import pg from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';
import { InvalidationScope } from 'nestjs-cache-invalidation';
import { CapturedPgClients } from '../../../lib/postgres/capture/pg-client.js';
import { WriteCapture } from '../../../lib/postgres/capture/write-capture.js';
import { useServer } from '../setup.js';
import { startCaptureApp, type CaptureApp } from './setup.js';

const server = useServer();

beforeEach(async () => {
  await server().sql(`
    drop table if exists users;
    create table users (id int primary key, name text,
      constraint one_of_a_name unique (name) deferrable initially deferred);
    insert into users values (1, 'one'), (2, 'two'), (3, 'three');`);
});

interface Captured {
  readonly app: CaptureApp;
  readonly client: pg.Client;
}

async function connect(bulk = 1_000): Promise<Captured> {
  const app = await startCaptureApp();
  const client = await server().connect();
  const capture = new WriteCapture({
    publisher: app.publisher,
    tables: { 'public.users': 'User' },
    bulk,
  });
  new CapturedPgClients(capture).add(client);
  return { app, client };
}

/** Changes the name of a user. */
const change = (client: pg.Client, id: number) =>
  client.query('update users set name = $1 where id = $2', [`n${id}`, id]);

describe('A captured transaction', () => {
  it('is announced once, merged, before its COMMIT resolves', async () => {
    const { app, client } = await connect();
    await client.query('begin');
    await change(client, 1);
    await change(client, 2);
    await change(client, 1);
    expect(app.said()).toEqual([]);
    await client.query('commit');
    expect(app.messages).toHaveLength(1);
    expect(app.said()).toEqual(['user:1', 'user:2']);
  });

  it('is announced after the commit is visible to others', async () => {
    const { app, client } = await connect();
    const seen = app.publisher;
    const names: unknown[] = [];
    const publish = seen.publish.bind(seen);
    seen.publish = async (invalidation) => {
      const [row] = await server().sql('select name from users where id = 1');
      names.push(row?.['name']);
      return publish(invalidation);
    };
    await client.query('begin');
    await change(client, 1);
    await client.query('end');
    expect(names).toEqual(['n1']);
  });

  it('is dropped on rollback', async () => {
    const { app, client } = await connect();
    for (const end of ['rollback', 'ABORT work', 'rollback and no chain']) {
      await client.query('start transaction');
      await change(client, 1);
      await client.query(end);
    }
    await change(client, 2);
    expect(app.said()).toEqual(['User:2']);
  });

  it('may keep what is rolled back to a savepoint', async () => {
    const { app, client } = await connect();
    await client.query('begin');
    await change(client, 1);
    await client.query('savepoint s');
    await change(client, 2);
    await client.query('rollback to savepoint s');
    await client.query('release savepoint s');
    await change(client, 3);
    await client.query('commit');
    expect(app.said()).toEqual(['user:1', 'user:2', 'user:3']);
  });

  it('goes on after COMMIT AND CHAIN', async () => {
    const { app, client } = await connect();
    await client.query('begin');
    await change(client, 1);
    await client.query('commit and chain');
    expect(app.said()).toEqual(['User:1']);
    await change(client, 2);
    expect(app.said()).toEqual([]);
    await client.query('rollback and chain');
    await change(client, 3);
    await client.query('commit');
    expect(app.said()).toEqual(['User:3']);
  });

  it('is announced when its COMMIT fails', async () => {
    const { app, client } = await connect();
    await client.query('begin');
    await client.query("update users set name = 'three' where id = 1");
    await expect(client.query('commit')).rejects.toThrow('one_of_a_name');
    expect(app.said()).toEqual(['User:1']);
  });

  it('is announced when the connection is lost in the COMMIT', async () => {
    const { app, client } = await connect();
    client.on('error', () => null);
    await client.query('begin');
    await change(client, 1);
    const { rows } = await client.query('select pg_backend_pid() as pid');
    // The server waits in the COMMIT, until it is ended.
    await client.query(`create or replace function wait() returns trigger language plpgsql
      as 'begin perform pg_sleep(60); return null; end'`);
    await client.query(`create constraint trigger slow after update on users
      deferrable initially deferred for each row execute function wait()`);
    await change(client, 2);
    const commit = client.query('commit').catch((error: Error) => error);
    const [{ pid }] = rows;
    const stop = `select pg_terminate_backend(${pid}) from pg_stat_activity
      where pid = ${pid} and wait_event = 'PgSleep'`;
    await expect
      .poll(() => server().sql(stop), { timeout: 10_000 })
      .toHaveLength(1);
    expect(await commit).toBeInstanceOf(Error);
    expect(app.said()).toEqual(['user:*']);
    // The server may still have been about to commit.
    await expect
      .poll(() => app.said(), { timeout: 10_000 })
      .toEqual(['user:*']);
  });

  it('is announced when its COMMIT was not awaited after its writes', async () => {
    const { app, client } = await connect();
    void client.query('begin');
    void client.query("insert into users values (9, 'n') returning id");
    await client.query('commit');
    expect(app.said()).toEqual(['user:*']);
  });

  it('of several statements in one text is announced', async () => {
    const { app, client } = await connect();
    await client.query(
      "begin; update users set name = 'x' where id = 1; commit; select 1",
    );
    expect(app.said()).toEqual(['User:1']);
    await client.query("begin; update users set name = 'y' where id = 1");
    expect(app.said()).toEqual([]);
    await client.query('commit');
    expect(app.said()).toEqual(['User:1']);
  });

  it('of two phases announces every mapped type at COMMIT PREPARED', async () => {
    const { app, client } = await connect();
    const [setting] = await server().sql('show max_prepared_transactions');
    expect(setting).toEqual({ max_prepared_transactions: '0' });
    // The server refuses both, which is announced as any failure.
    await client.query('begin');
    await change(client, 1);
    await expect(client.query("prepare transaction 'p'")).rejects.toThrow(
      'prepared',
    );
    await client.query('rollback');
    expect(app.said()).toEqual([]);
    await expect(client.query("commit prepared 'p'")).rejects.toThrow(
      'prepared',
    );
    expect(app.said()).toEqual(['user:*']);
  });

  it('that changes more than `bulk` keys announces the type', async () => {
    const { app, client } = await connect(2);
    await client.query('begin');
    for (const id of [1, 2, 3]) await change(client, id);
    await client.query('commit');
    expect(app.said()).toEqual(['user:*']);
  });

  it('that does not begin leaves the connection outside of one', async () => {
    const { app, client } = await connect();
    await expect(client.query('begin isolation level none')).rejects.toThrow(
      'syntax',
    );
    await change(client, 1);
    expect(app.said()).toEqual(['User:1']);
  });

  it('is announced whatever scope is around it', async () => {
    const { app, client } = await connect();
    await InvalidationScope.run(async () => {
      await client.query('begin');
      await change(client, 1);
      await client.query('commit');
      throw new Error('later');
    }).catch(() => null);
    expect(app.said()).toEqual(['User:1']);
  });

  it('learns a definition anew that another connection has committed', async () => {
    const app = await startCaptureApp();
    const { publisher } = app;
    const tables = { 'public.users': 'User' };
    const clients = new CapturedPgClients(
      new WriteCapture({ publisher, tables }),
    );
    const [one, other] = [await server().connect(), await server().connect()];
    clients.add(one);
    clients.add(other);
    await server().sql(
      'drop table if exists other; create table other (id int)',
    );
    await one.query('begin');
    await one.query(
      `alter table users drop constraint users_pkey, add column code int
       generated always as (id + 10) stored, add primary key (code)`,
    );
    await other.query('insert into other values (1)');
    await one.query('commit');
    app.said();
    await other.query('delete from users where code = 11');
    expect(app.said()).toEqual(['User:11']);
  });

  it('learns a definition anew that it changes', async () => {
    const { app, client } = await connect();
    await change(client, 1);
    await client.query('begin');
    await client.query(
      'alter table users drop constraint users_pkey, add column code int',
    );
    await client.query('update users set code = id + 10');
    await client.query('alter table users add primary key (code)');
    await client.query('commit');
    app.said();
    await client.query('delete from users where code = 11');
    expect(app.said()).toEqual(['User:11']);
  });
});

describe('A captured statement outside of a transaction', () => {
  it('is announced when it fails', async () => {
    const { app, client } = await connect();
    await change(client, 3);
    app.said();
    const failed = client.query("insert into users values (2, 'n')");
    await expect(failed).rejects.toThrow('users_pkey');
    expect(app.said()).toEqual(['user:*']);
  });

  it('may be sent with a callback, as an object or prepared', async () => {
    const { app, client } = await connect();
    await new Promise((resolve) => {
      client.query('delete from users where id = 1', resolve);
    });
    expect(app.said()).toEqual(['User:1']);
    const text = 'delete from users where id = $1 returning id';
    const rowMode = 'array';
    const { rows } = await client.query({ text, values: [2], rowMode });
    expect(rows).toEqual([[2]]);
    expect(app.said()).toEqual(['User:2']);
    await client.query({ name: 'p', text, values: [3] });
    expect(app.said()).toEqual(['User:3']);
    await client.query('execute p (3)');
    expect(app.said()).toEqual(['user:*']);
  });

  it('may be a query object', async () => {
    const { app, client } = await connect();
    const query = new pg.Query('delete from users where id = $1', [2]);
    client.query(query);
    await expect.poll(() => app.messages).toHaveLength(1);
    expect(app.said()).toEqual(['User:2']);
  });

  it('passes its result and its error through', async () => {
    const { client } = await connect();
    const { rows, rowCount } = await client.query(
      'delete from users where id = 1 returning name',
    );
    expect([rows, rowCount]).toEqual([[{ name: 'one' }], 1]);
    await expect(client.query('delete from nobody')).rejects.toMatchObject({
      code: '42P01',
    });
  });
});

it('A capture refuses options that are not right', async () => {
  const { publisher } = await startCaptureApp();
  const capture = (tables: object, bulk?: number) =>
    new WriteCapture({ publisher, tables: tables as never, bulk });
  expect(() => capture({})).toThrow('Give tables by name with schema');
  expect(() => capture({ users: 'User' })).toThrow('cannot be captured');
  expect(() => capture({ 'public.users': 'User' }, 0)).toThrow('bulk');
});
