import {
  CamelCasePlugin,
  Kysely,
  PostgresDialect,
  sql,
  type Generated,
} from 'kysely';
import { captureKysely } from 'nestjs-cache-invalidation/postgres';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isPostgres } from '../../support/postgres.js';
import { POST, startListener, useShop, type Listener } from './shop.js';

interface Shop {
  users: { id: Generated<number>; name: string; team: string | null };
  posts: { id: Generated<string>; title: string; author_id: number };
  memberships: { user_id: number; team_id: string; role: string };
  notes: { id: number; text: string };
  codes: { code: string; day: string };
  'shop.orders': { id: number; state: string };
  orders: { id: number; state: string };
}

type Db = Kysely<Shop>;

const server = useShop();

async function start(
  options: Parameters<typeof startListener>[0] = {},
): Promise<Listener & { db: Db }> {
  const listener = await startListener(options);
  const pool = new pg.Pool({ connectionString: server().url, max: 3 });
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<Shop>({
    dialect: new PostgresDialect({ pool, cursor: Cursor }),
  });
  onTestFinished(() => db.destroy());
  return { ...listener, db: captureKysely(db, listener.options) };
}

const ada = { name: 'Ada', team: null };

type Cell = readonly [
  title: string,
  write: (db: Db) => PromiseLike<unknown>,
  heard: readonly string[],
];

const rename = (db: Db, id: number) =>
  db.updateTable('users').set({ name: 'Eve' }).where('id', '=', id);

describe('captureKysely() announces', () => {
  const CELLS: readonly Cell[] = [
    ['no read', (db) => db.selectFrom('users').selectAll().execute(), []],
    [
      'no read that locks',
      (db) =>
        db
          .selectFrom('users')
          .selectAll()
          .where('id', '=', 1)
          .forUpdate()
          .execute(),
      [],
    ],
    [
      'no table that is not mapped',
      (db) => db.updateTable('notes').set({ text: 'users' }).execute(),
      [],
    ],
    ['an update by its key', (db) => rename(db, 1).execute(), ['User:1']],
    [
      'an update by a list of keys',
      (db) =>
        db
          .updateTable('users')
          .set({ name: 'Eve' })
          .where('id', 'in', [1, 3])
          .execute(),
      ['user:1,user:3'],
    ],
    [
      'an update of a table with an alias, with further conditions',
      (db) =>
        db
          .updateTable('users as u')
          .set({ name: 'Eve' })
          .where('u.id', '=', 1)
          .where('u.team', '=', 'red')
          .execute(),
      ['User:1'],
    ],
    [
      'an update by another column: the type',
      (db) =>
        db
          .updateTable('users')
          .set({ name: 'Eve' })
          .where('team', '=', 'red')
          .execute(),
      ['user:*'],
    ],
    [
      'the rows of RETURNING',
      (db) =>
        db
          .updateTable('users')
          .set({ name: 'Eve' })
          .where('team', '=', 'red')
          .returning('id')
          .execute(),
      ['user:1,user:2'],
    ],
    [
      'an update of all rows: the type',
      (db) => db.updateTable('users').set({ name: 'Eve' }).execute(),
      ['user:*'],
    ],
    [
      'an update with FROM: the type',
      (db) =>
        db
          .updateTable('users')
          .from('posts')
          .set({ name: 'Eve' })
          .whereRef('users.id', '=', 'posts.author_id')
          .execute(),
      ['user:*'],
    ],
    [
      'an update of the key: both keys',
      (db) =>
        db.updateTable('users').set({ id: 9 }).where('id', '=', 3).execute(),
      ['user:3,user:9'],
    ],
    [
      'an insert with its key',
      (db) =>
        db
          .insertInto('users')
          .values({ id: 8, ...ada })
          .execute(),
      ['User:8'],
    ],
    [
      'several rows',
      (db) =>
        db
          .insertInto('users')
          .values([
            { id: 8, ...ada },
            { id: 9, ...ada },
          ])
          .execute(),
      ['user:8,user:9'],
    ],
    [
      'a generated key without RETURNING: the type',
      (db) => db.insertInto('users').values(ada).execute(),
      ['user:*'],
    ],
    [
      'a generated key with RETURNING',
      (db) => db.insertInto('users').values(ada).returningAll().execute(),
      ['User:4'],
    ],
    [
      'an upsert of the key',
      (db) =>
        db
          .insertInto('users')
          .values({ id: 1, ...ada })
          .onConflict((on) => on.column('id').doUpdateSet({ name: 'Eve' }))
          .execute(),
      ['User:1'],
    ],
    [
      'an insert of a SELECT: the type',
      (db) =>
        db
          .insertInto('users')
          .columns(['name'])
          .expression((eb) => eb.selectFrom('notes').select('text as name'))
          .execute(),
      ['user:*'],
    ],
    [
      'a delete by its key',
      (db) => db.deleteFrom('posts').where('id', '=', POST).execute(),
      [`Post:${POST}`],
    ],
    [
      'a delete that cascades: the type of the other table',
      (db) => db.deleteFrom('users').where('id', '=', 1).execute(),
      ['User:1', 'post:*'],
    ],
    [
      'a delete with USING: the type',
      (db) =>
        db
          .deleteFrom('posts')
          .using('users')
          .whereRef('users.id', '=', 'posts.author_id')
          .execute(),
      ['post:*'],
    ],
    [
      'a write in a CTE: the type',
      (db) =>
        db
          .with('gone', (cte) =>
            cte.deleteFrom('posts').where('id', '=', POST).returningAll(),
          )
          .selectFrom('gone')
          .selectAll()
          .execute(),
      ['post:*'],
    ],
    [
      'a merge: the types that it may change',
      (db) =>
        db
          .mergeInto('users')
          .using('notes', 'users.id', 'notes.id')
          .whenMatched()
          .thenUpdateSet({ name: 'Eve' })
          .execute(),
      ['post:*', 'user:*'],
    ],
    [
      'what a mapper makes of its key',
      (db) =>
        db
          .updateTable('memberships')
          .set({ role: 'guest' })
          .where('user_id', '=', 1)
          .where('team_id', '=', 'red')
          .execute(),
      ['team:red:*'],
    ],
    [
      'a mapper that reads what is not known: its types',
      (db) =>
        db
          .updateTable('memberships')
          .set({ role: 'guest' })
          .where('user_id', '=', 1)
          .execute(),
      ['team:*'],
    ],
    [
      'a mapped column that changes: what the old and the new value map to',
      (db) =>
        db
          .updateTable('memberships')
          .set({ team_id: 'blue' })
          .where('team_id', '=', 'red')
          .execute(),
      ['team:blue:*', 'team:red:*'],
    ],
    [
      'a mapped column that changes from what is not known: the types',
      (db) =>
        db
          .updateTable('memberships')
          .set({ team_id: 'blue' })
          .where('user_id', '=', 1)
          .returningAll()
          .execute(),
      ['team:*'],
    ],
    [
      'a table of another schema',
      (db) =>
        db
          .withSchema('shop')
          .updateTable('orders')
          .set({ state: 'paid' })
          .where('id', '=', 7)
          .execute(),
      ['Order:7'],
    ],
    [
      'raw SQL that names its row',
      (db) => sql`update users set name = ${'Eve'} where id = ${2}`.execute(db),
      ['User:2'],
    ],
    [
      'a key that node-postgres reads as a Date: the type',
      (db) => sql`delete from moments returning at`.execute(db),
      ['Moment:*'],
    ],
    [
      'other raw SQL: the types of the tables that it names',
      (db) => sql`truncate users cascade`.execute(db),
      ['post:*', 'user:*'],
    ],
    [
      'columns in camel case',
      (db) =>
        db
          .withPlugin(new CamelCasePlugin())
          .updateTable('memberships')
          .set({ role: 'guest' })
          .where(sql.ref('userId'), '=', 1)
          .where(sql.ref('teamId'), '=', 'red')
          .execute(),
      ['team:red:*'],
    ],
    [
      'what is written without plugins',
      (db) => rename(db.withoutPlugins(), 1).execute(),
      ['User:1'],
    ],
    [
      'a statement that fails, whose outcome a client cannot always know',
      async (db) => {
        await rename(db, 1).execute();
        const again = db.insertInto('users').values({ id: 2, ...ada });
        await expect(again.execute()).rejects.toThrow('duplicate key');
      },
      ['User:1', 'User:2'],
    ],
    [
      'a stream of rows that were written',
      async (db) => {
        const rows = db
          .deleteFrom('posts')
          .where('id', '=', POST)
          .returningAll()
          .stream(10);
        for await (const { id } of rows) expect(id).toBe(POST);
      },
      [`Post:${POST}`],
    ],
  ];

  // MERGE is of version 15.
  it.each(
    CELLS.filter(([title]) => isPostgres(15) || !title.includes('merge')),
  )('%s', async (_, write, heard) => {
    const { db, ...listener } = await start();
    expect(await listener.heard(() => write(db))).toEqual(heard);
  });

  it('a mapper without types, where its rows are not known: everything', async () => {
    const { db, heard } = await start();
    expect(
      await heard(() =>
        db.updateTable('codes').set({ day: '2026-02-01' }).execute(),
      ),
    ).toEqual(['*']);
  });

  it('more than `bulk` keys: the type', async () => {
    const { db, heard } = await start({ bulk: 1 });
    expect(
      await heard(() =>
        db.deleteFrom('users').where('id', 'in', [2, 3]).execute(),
      ),
    ).toEqual(['post:*', 'user:*']);
  });
});

describe('captureKysely() announces a transaction', () => {
  it('after its commit, merged', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction().execute(async (tx) => {
        expect(
          await heard(async () => {
            await rename(tx, 1).execute();
            await rename(tx, 2).execute();
            await rename(tx.withSchema('public'), 2).execute();
          }),
        ).toEqual([]);
      }),
    );
    expect(said).toEqual(['user:1,user:2']);
  });

  it('not at all when it is rolled back', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction().execute(async (tx) => {
        await rename(tx, 1).execute();
        throw new Error('no');
      }),
    );
    expect(said).toEqual(['no']);
  });

  it('that others run at the same time, each with its own writes', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction().execute(async (tx) => {
        await rename(tx, 1).execute();
        expect(await heard(() => rename(db, 2).execute())).toEqual(['User:2']);
      }),
    );
    expect(said).toEqual(['User:1', 'User:2']);
  });

  it('that is controlled, with its savepoints', async () => {
    const { db, heard } = await start();
    const tx = await db.startTransaction().execute();
    expect(
      await heard(async () => {
        await rename(tx, 1).execute();
        const inner = await tx.savepoint('inner').execute();
        await rename(inner, 2).execute();
        await inner.rollbackToSavepoint('inner').execute();
      }),
    ).toEqual([]);
    // Writes that a savepoint took back are announced as well.
    expect(await heard(() => tx.commit().execute())).toEqual(['user:1,user:2']);
    const other = await db.startTransaction().execute();
    await rename(other, 1).execute();
    expect(await heard(() => other.rollback().execute())).toEqual([]);
  });

  it('that SQL begins and ends on a connection', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.connection().execute(async (one) => {
        await sql`begin`.execute(one);
        expect(await heard(() => rename(one, 1).execute())).toEqual([]);
        await sql`commit`.execute(one);
        await sql`begin`.execute(one);
        await rename(one, 2).execute();
        await sql`rollback`.execute(one);
      }),
    );
    expect(said).toEqual(['User:1']);
  });

  it('whose commit has an unknown outcome', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction().execute(async (tx) => {
        await rename(tx, 1).execute();
        // The answer to COMMIT is lost with the connection.
        await sql`select pg_terminate_backend(pg_backend_pid())`
          .execute(tx)
          .catch(() => null);
      }),
    );
    expect(said.slice(1)).toEqual(['User:1']);
  });
});

it('captureKysely() leaves the instance that it was given as it is', async () => {
  const listener = await startListener();
  const pool = new pg.Pool({ connectionString: server().url });
  const db: Db = new Kysely({ dialect: new PostgresDialect({ pool }) });
  onTestFinished(() => db.destroy());
  captureKysely(db, listener.options);
  expect(await listener.heard(() => rename(db, 1).execute())).toEqual([]);
});
