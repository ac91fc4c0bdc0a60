import type { PGlite } from '@electric-sql/pglite';
import type { NeonQueryFunction } from '@neondatabase/serverless';
import { and, eq, inArray, or, sql } from 'drizzle-orm';
import { drizzle as drizzleNeon } from 'drizzle-orm/neon-http';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import {
  customType,
  date,
  integer,
  pgSchema,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  uuid,
  varchar,
  withReplicas,
  type PgDatabase,
  type PgQueryResultHKT,
} from 'drizzle-orm/pg-core';
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite';
import { captureDrizzle } from 'nestjs-cache-invalidation/postgres';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openPglite } from '../../support/pglite.js';
import { POST, startListener, useShop, type Listener } from './shop.js';

const users = pgTable('users', {
  id: serial().primaryKey(),
  name: text().notNull(),
  team: text(),
});
const posts = pgTable('posts', {
  id: uuid().primaryKey().defaultRandom(),
  title: text().notNull(),
  authorId: integer('author_id').notNull(),
});
const memberships = pgTable(
  'memberships',
  { userId: integer('user_id'), teamId: text('team_id'), role: text() },
  ({ userId, teamId }) => [primaryKey({ columns: [userId, teamId] })],
);
const notes = pgTable('notes', { id: integer().primaryKey(), text: text() });
const orders = pgSchema('shop').table('orders', {
  id: integer().primaryKey(),
  state: text(),
});
/** The codes of `codes`, in another form in JavaScript. */
const loud = customType<{ data: string; driverData: string }>({
  dataType: () => 'varchar(8)',
  toDriver: (code) => code.toLowerCase(),
  fromDriver: (code) => code.toUpperCase(),
});
const loudCodes = pgTable('codes', { code: loud().primaryKey(), day: date() });
const codes = pgTable('codes', { code: varchar().primaryKey(), day: date() });
const moments = pgTable('moments', { at: timestamp().primaryKey() });
const schema = { users, posts };

type Db = NodePgDatabase<typeof schema>;

const server = useShop();

async function start(
  options: Parameters<typeof startListener>[0] = {},
): Promise<Listener & { db: Db }> {
  const listener = await startListener(options);
  const pool = new pg.Pool({ connectionString: server().url, max: 3 });
  pool.on('connect', (client) => client.on('error', () => {}));
  onTestFinished(() => pool.end());
  const db = captureDrizzle(drizzle(pool, { schema }), listener.options);
  return { ...listener, db };
}

const ada = { name: 'Ada' };

type Cell = readonly [
  title: string,
  write: (db: Db) => PromiseLike<unknown>,
  heard: readonly string[],
];

const rename = <R extends PgQueryResultHKT>(
  db: Pick<PgDatabase<R>, 'update'>,
  id: number,
) => db.update(users).set({ name: 'Eve' }).where(eq(users.id, id));

describe('captureDrizzle() announces', () => {
  it.each<Cell>([
    ['no read', (db) => db.select().from(users), []],
    ['no relational query', (db) => db.query.users.findMany(), []],
    [
      'no table that is not mapped',
      (db) => db.update(notes).set({ text: 'users' }),
      [],
    ],
    ['an update by its key', (db) => rename(db, 1), ['User:1']],
    [
      'an update by a list of keys',
      (db) =>
        db
          .update(users)
          .set({ name: 'Eve' })
          .where(or(inArray(users.id, [1]), eq(users.id, 3))),
      ['user:1,user:3'],
    ],
    [
      'an update by its key and further conditions',
      (db) =>
        db
          .update(users)
          .set({ name: sql`upper(${users.name})` })
          .where(and(eq(users.id, 1), eq(users.team, 'red'))),
      ['User:1'],
    ],
    [
      'an update by another column: the type',
      (db) => db.update(users).set(ada).where(eq(users.team, 'red')),
      ['user:*'],
    ],
    [
      'the rows of RETURNING',
      (db) =>
        db
          .update(users)
          .set(ada)
          .where(eq(users.team, 'red'))
          .returning({ key: users.id, name: users.name }),
      ['user:1,user:2'],
    ],
    [
      'an update with FROM: the type',
      (db) =>
        db
          .update(users)
          .set(ada)
          .from(posts)
          .where(eq(users.id, posts.authorId)),
      ['user:*'],
    ],
    [
      'an update of the key: both keys',
      (db) => db.update(users).set({ id: 9 }).where(eq(users.id, 3)),
      ['user:3,user:9'],
    ],
    [
      'an insert with its key',
      (db) => db.insert(users).values({ id: 8, ...ada }),
      ['User:8'],
    ],
    [
      'several rows, one without its key: the type',
      (db) => db.insert(users).values([{ id: 8, ...ada }, ada]),
      ['user:*'],
    ],
    [
      'a generated key without RETURNING: the type',
      (db) => db.insert(users).values(ada),
      ['user:*'],
    ],
    [
      'generated keys with RETURNING',
      (db) => db.insert(users).values([ada, ada]).returning(),
      ['user:4,user:5'],
    ],
    [
      'an upsert of the key',
      (db) =>
        db
          .insert(users)
          .values({ id: 1, ...ada })
          .onConflictDoUpdate({ target: users.id, set: ada }),
      ['User:1'],
    ],
    [
      'an insert of a SELECT: the type',
      (db) =>
        db
          .insert(memberships)
          .select(sql`select id, 'blue', 'guest' from notes`),
      ['team:*'],
    ],
    [
      'a delete by its key',
      (db) => db.delete(posts).where(eq(posts.id, POST)),
      [`Post:${POST}`],
    ],
    [
      'a delete that cascades: the type of the other table',
      (db) => db.delete(users).where(eq(users.id, 1)),
      ['User:1', 'post:*'],
    ],
    [
      'a write with a CTE: the type',
      (db) => {
        const gone = db.$with('gone').as(db.delete(posts).returning());
        return db.with(gone).select().from(gone);
      },
      ['post:*'],
    ],
    [
      'what a mapper makes of its key',
      (db) =>
        db
          .update(memberships)
          .set({ role: 'guest' })
          .where(and(eq(memberships.userId, 1), eq(memberships.teamId, 'red'))),
      ['team:red:*'],
    ],
    [
      'a mapper that reads what is not known: its types',
      (db) => db.delete(memberships).where(eq(memberships.userId, 1)),
      ['team:*'],
    ],
    [
      'a table of another schema',
      (db) => db.update(orders).set({ state: 'paid' }).where(eq(orders.id, 7)),
      ['Order:7'],
    ],
    [
      'raw SQL that names its row',
      (db) => db.execute(sql`update ${users} set name = 'Eve' where id = ${2}`),
      ['User:2'],
    ],
    [
      'the rows of raw SQL with RETURNING',
      (db) => db.execute('delete from posts returning id as key'),
      [`Post:${POST}`],
    ],
    [
      'other raw SQL: the types of the tables that it names',
      (db) => db.execute('truncate users cascade'),
      ['post:*', 'user:*'],
    ],
    [
      'a prepared query, with what it is given',
      async (db) => {
        const query = db
          .update(users)
          .set({ name: 'Eve' })
          .where(eq(users.id, sql.placeholder('id')))
          .prepare('rename');
        await query.execute({ id: 1 });
        await query.execute({ id: 2 });
      },
      ['User:1', 'User:2'],
    ],
    [
      'a prepared insert, with what it is given',
      (db) =>
        db
          .insert(users)
          .values({ id: sql.placeholder('id'), name: 'Eve' })
          .prepare('add')
          .execute({ id: 8 }),
      ['User:8'],
    ],
    [
      'a key that Drizzle reads as a Date: the type',
      (db) => db.delete(moments).returning(),
      ['Moment:*'],
    ],
    [
      'what Drizzle makes of an expression: the type',
      (db) =>
        db
          .update(users)
          .set(ada)
          .returning({ id: sql`id`.mapWith(() => 99) }),
      ['user:*'],
    ],
    [
      'a value of a custom type, as it is stored',
      (db) => db.insert(loudCodes).values({ code: 'CD' }),
      ['Code:cd'],
    ],
    [
      'what a custom type reads: everything, since it may be stored otherwise',
      (db) => db.delete(loudCodes).returning(),
      ['*'],
    ],
    [
      'a column that RETURNING has as it is stored',
      (db) => db.delete(codes).returning(),
      ['Code:ab'],
    ],
  ])('%s', async (_, write, heard) => {
    const { db, ...listener } = await start();
    expect(await listener.heard(() => write(db))).toEqual(heard);
  });
});

describe('captureDrizzle() announces a transaction', () => {
  it('after its commit, merged, with its savepoints', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction(async (tx) => {
        expect(
          await heard(async () => {
            await rename(tx, 1);
            await tx.transaction((inner) => rename(inner, 2));
            // Writes that a savepoint takes back are announced as well.
            await tx
              .transaction(async (inner) => {
                await rename(inner, 3);
                inner.rollback();
              })
              .catch(() => null);
          }),
        ).toEqual([]);
      }),
    );
    expect(said).toEqual(['user:1,user:2,user:3']);
  });

  it('not at all when it is rolled back', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction(async (tx) => {
        await rename(tx, 1);
        tx.rollback();
      }),
    );
    expect(said).toEqual(['Rollback']);
  });

  it('that others run at the same time, each with its own writes', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction(async (tx) => {
        await rename(tx, 1);
        expect(await heard(() => rename(db, 2))).toEqual(['User:2']);
      }),
    );
    expect(said).toEqual(['User:1', 'User:2']);
  });

  it('whose commit has an unknown outcome', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.transaction(async (tx) => {
        await rename(tx, 1);
        // The answer to COMMIT is lost with the connection.
        await tx
          .execute('select pg_terminate_backend(pg_backend_pid())')
          .catch(() => null);
      }),
    );
    expect(said.slice(1)).toEqual(['User:1']);
  });

  it('that a pool was told to begin at once, on whichever connection', async () => {
    const { db, heard } = await start();
    expect(
      await heard(async () => {
        await db.execute('begin');
        await rename(db, 1);
      }),
    ).toEqual(['User:1']);
  });

  it('of a single client, also one that SQL begins and ends', async () => {
    const listener = await startListener();
    const client = await server().connect();
    const db = captureDrizzle(drizzle(client), listener.options);
    const { heard } = listener;
    const said = await heard(async () => {
      await db.transaction(async (tx) => {
        expect(
          await heard(async () => {
            await rename(tx, 1);
            await tx.transaction((inner) => rename(inner, 2));
          }),
        ).toEqual([]);
      });
      await db.execute('begin');
      expect(await heard(() => rename(db, 3))).toEqual([]);
      await db.execute('rollback');
      await db
        .transaction(async (tx) => {
          await rename(tx, 3);
          tx.rollback();
        })
        .catch(() => null);
    });
    expect(said).toEqual(['user:1,user:2']);
  });
});

describe('captureDrizzle() with other drivers', () => {
  async function startPglite() {
    const listener = await startListener();
    const pglite = await openPglite();
    onTestFinished(() => pglite.close());
    await pglite.exec(
      `CREATE TABLE users (id serial PRIMARY KEY, name text, team text);
       INSERT INTO users (name) VALUES ('Ada'), ('Bob'), ('Cleo')`,
    );
    return { ...listener, pglite };
  }

  it('PGlite', async () => {
    const { pglite, options, heard } = await startPglite();
    const db = captureDrizzle(drizzlePglite(pglite), options);
    expect(await heard(() => rename(db, 1))).toEqual(['User:1']);
    const said = await heard(() =>
      db.transaction(async (tx) => {
        await rename(tx, 1);
        await tx.transaction((inner) => rename(inner, 2));
      }),
    );
    expect(said).toEqual(['user:1,user:2']);
    const failed = await heard(() =>
      db.transaction(async (tx) => {
        await tx.insert(users).values(ada);
        tx.rollback();
      }),
    );
    expect(failed).toEqual(['Rollback']);
  });

  it('Neon over HTTP, whose batch is a transaction', async () => {
    const { pglite, options, heard } = await startPglite();
    const db = captureDrizzle(drizzleNeon(neonOn(pglite)), options);
    expect(
      await heard(async () => {
        const [, added] = await db.batch([
          rename(db, 1),
          db.insert(users).values(ada).returning(),
        ]);
        expect(added).toEqual([{ id: 4, name: 'Ada', team: null }]);
      }),
    ).toEqual(['user:*']);
    expect(await heard(() => db.batch([rename(db, 1), rename(db, 2)]))).toEqual(
      ['user:1,user:2'],
    );
  });
});

it('captureDrizzle() leaves the database that it was given as it is', async () => {
  const { options, heard } = await startListener();
  const db = drizzle(await server().connect());
  captureDrizzle(db, options);
  expect(await heard(() => rename(db, 1))).toEqual([]);
});

it('captureDrizzle() captures the primary of withReplicas(), and refuses the whole', async () => {
  const { options, heard } = await startListener();
  const [primary, replica] = [
    drizzle(await server().connect()),
    drizzle(await server().connect()),
  ];
  expect(() =>
    captureDrizzle(withReplicas(primary, [replica]), options),
  ).toThrow('Capture the primary');
  const db = withReplicas(captureDrizzle(primary, options), [replica]);
  expect(await heard(() => rename(db, 1))).toEqual(['User:1']);
  expect(await heard(() => db.transaction((tx) => rename(tx, 2)))).toEqual([
    'User:2',
  ]);
});

/** A client of Neon's on an embedded PostgreSQL. */
function neonOn(pglite: PGlite): NeonQueryFunction<false, true> {
  interface Options {
    readonly arrayMode?: boolean;
  }
  const query = (
    statement: string,
    values: unknown[],
    options: Options = {},
  ) => {
    const run = (on: Pick<PGlite, 'query'>) =>
      on.query(statement, values, {
        rowMode: options.arrayMode === true ? 'array' : 'object',
      });
    return {
      run,
      then: (...done: Parameters<Promise<unknown>['then']>) =>
        run(pglite).then(...done),
    };
  };
  const transaction = (queries: ReturnType<typeof query>[]) =>
    pglite.transaction(async (tx) => {
      const results: unknown[] = [];
      for (const each of queries) results.push(await each.run(tx));
      return results;
    });
  return Object.assign(query, { query, transaction }) as never;
}
