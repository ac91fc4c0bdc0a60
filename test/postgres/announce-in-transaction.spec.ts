import 'reflect-metadata';
import { EntitySchema } from '@mikro-orm/core';
import { MikroORM } from '@mikro-orm/postgresql';
import { PrismaPg } from '@prisma/adapter-pg';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import { entity, pattern, type Invalidation } from 'nestjs-cache-invalidation';
import {
  announceInTransaction,
  markAsAnnounced,
  type RunInTransaction,
} from 'nestjs-cache-invalidation/postgres';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterEach, describe, expect, it } from 'vitest';
import { isPostgres, startPostgres } from '../support/postgres.js';
import { getPrismaClientClass } from './capture/prisma/generated/internal/class.js';
import { startHolder, uniqueName, useServer } from './setup.js';

const server = useServer({ max_replication_slots: '20' });
const ended: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

async function holder(bulk = 1_000) {
  const table = uniqueName();
  await server().sql(`create table ${table} (id int primary key)`);
  const app = await startHolder({
    connection: server().url,
    tables: { [`public.${table}`]: 'User' },
    bulk,
  });
  return { table, app };
}

function pool(): pg.Pool {
  const opened = new pg.Pool({ connectionString: server().url, max: 1 });
  ended.push(() => opened.end());
  return opened;
}

/** Runs work in a transaction of a connection of its own. */
async function transaction(
  work: (run: RunInTransaction) => Promise<void>,
  end: 'commit' | 'rollback' = 'commit',
) {
  const client = await pool().connect();
  try {
    await client.query('begin');
    await work((sql) => client.query(sql));
    await client.query(end);
  } finally {
    client.release();
  }
}

const TEAM = pattern('team:7:*');

describe.runIf(isPostgres(14))('announceInTransaction', () => {
  it('announces with the rows of the transaction, merged, and never what is rolled back', async () => {
    const { table, app } = await holder();
    await transaction(async (run) => {
      await announceInTransaction(run, entity('User', 9));
    }, 'rollback');
    await transaction(async (run) => {
      await announceInTransaction(run, entity('User', 8), TEAM);
      await run(`insert into ${table} values (1)`);
      await run('savepoint s');
      await announceInTransaction(run, entity('User', 7));
      await run('rollback to savepoint s');
    });
    expect(await app.next(2)).toEqual(['user:8,user:1', 'team:7:*']);
  });

  it('needs no row of a mapped table, and carries action and metadata', async () => {
    const { app } = await holder();
    const odd: Invalidation = entity('Odd type', `it's ? $1 :a \\ ü`, {
      action: 'Update',
      metadata: { who: 'me' },
    });
    await transaction((run) => announceInTransaction(run, odd));
    await app.next();
    expect(app.messages.at(-1)).toMatchObject({
      ...odd,
      at: { pg: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) as string },
    });
  });

  it('is widened where it is too much', async () => {
    const { app } = await holder();
    const many = Array.from({ length: 1_001 }, (_, id) => entity('User', id));
    const long = Array.from({ length: 900 }, (_, id) =>
      entity('Post', `${'x'.repeat(500)}${id}`),
    );
    const huge = entity('Post', 1, { metadata: 'x'.repeat(300_000) });
    await transaction((run) => announceInTransaction(run, ...many));
    await transaction((run) => announceInTransaction(run, ...long));
    await transaction((run) => announceInTransaction(run, huge));
    expect(await app.next(3)).toEqual(['user:*', 'post:*', '*']);
  });

  it('refuses what is no invalidation, and runs nothing for nothing', async () => {
    const run = (): Promise<never> => Promise.reject(new Error('was run'));
    await announceInTransaction(run);
    await expect(
      announceInTransaction(run, {} as Invalidation),
    ).rejects.toThrow('This is no invalidation.');
    await expect(
      announceInTransaction(run, entity('User', 1, { metadata: 1n })),
    ).rejects.toThrow('The metadata cannot be written into the transaction.');
  });

  it('fails where no source could read it', async () => {
    const minimal = await startPostgres({ wal_level: 'replica' });
    ended.push(() => minimal.stop());
    const client = await minimal.connect();
    await expect(
      announceInTransaction((sql) => client.query(sql), TEAM),
    ).rejects.toThrow(
      'Announcing in a transaction needs wal_level logical, this is replica',
    );
  });

  it('is everything where a message of its name cannot be read', async () => {
    const { app } = await holder();
    for (const content of ['nonsense', '{}', '[1]', '[{"action":"Delete"}]']) {
      await transaction(async (run) => {
        await run(
          `select pg_logical_emit_message(true, 'cache_invalidation', '${content}')`,
        );
      });
      expect(await app.next()).toEqual(['*']);
    }
    expect(app.source.status().widened).toMatchObject({ message: 4 });
  });

  it('passes over the messages of other programs, and those outside of transactions', async () => {
    const { app, table } = await holder();
    await transaction(async (run) => {
      await run(`select pg_logical_emit_message(true, 'other', 'x')`);
      await run(
        `select pg_logical_emit_message(false, 'cache_invalidation', 'x')`,
      );
      await run(`insert into ${table} values (1)`);
    });
    expect(await app.next()).toEqual(['User:1']);
    expect(app.said).toEqual(['user:*', 'User:1']);
  });
});

describe.runIf(isPostgres(14))('markAsAnnounced', () => {
  it('keeps the rows of its transaction from being announced, and nothing else', async () => {
    const { app, table } = await holder();
    await transaction(async (run) => {
      await run(`insert into ${table} values (1)`);
      await markAsAnnounced(run);
      await announceInTransaction(run, TEAM);
      await run(`insert into ${table} values (2)`);
    });
    await transaction(async (run) => {
      await run('savepoint s');
      await markAsAnnounced(run);
      await run('rollback to savepoint s');
      await run(`insert into ${table} values (3)`);
    });
    expect(await app.next(2)).toEqual(['team:7:*', 'User:3']);
  });
});

type Work = (run: RunInTransaction) => Promise<void>;
type Transact = (work: Work) => Promise<unknown>;

describe.runIf(isPostgres(14))(
  'announceInTransaction() in transactions of',
  () => {
    it.each<[string, () => Promise<Transact>]>([
      [
        'Drizzle',
        async () => {
          const db = drizzle(pool());
          return (work) =>
            db.transaction(async (tx) => {
              await tx.execute(drizzleSql`select 1`);
              await work((sql) => tx.execute(sql));
            });
        },
      ],
      [
        'Kysely',
        async () => {
          const dialect = new PostgresDialect({ pool: pool() });
          const db = new Kysely({ dialect });
          return (work) =>
            db
              .transaction()
              .execute((tx) =>
                work((sql) => tx.executeQuery(CompiledQuery.raw(sql))),
              );
        },
      ],
      [
        'TypeORM',
        async () => {
          const db = new DataSource({ type: 'postgres', url: server().url });
          await db.initialize();
          ended.push(() => db.destroy());
          return (work) =>
            db.transaction((manager) => work((sql) => manager.query(sql)));
        },
      ],
      [
        'Prisma',
        async () => {
          const PrismaClient = getPrismaClientClass();
          const adapter = new PrismaPg({ connectionString: server().url });
          const db = new PrismaClient({ adapter });
          ended.push(() => db.$disconnect());
          return (work) =>
            db.$transaction((tx) => work((sql) => tx.$queryRawUnsafe(sql)));
        },
      ],
      [
        'MikroORM',
        async () => {
          const row = new EntitySchema({
            name: 'Row',
            properties: { id: { type: 'number', primary: true } },
          });
          const orm = await MikroORM.init({
            clientUrl: server().url,
            entities: [row],
          });
          ended.push(() => orm.close());
          return (work) =>
            orm.em.fork().transactional((em) => work((sql) => em.execute(sql)));
        },
      ],
    ])('%s: what is committed, and nothing else', async (_, open) => {
      const { app } = await holder();
      const transact = await open();
      const failing = transact(async (run) => {
        await announceInTransaction(run, entity('User', 9));
        throw new Error('rolled back');
      });
      await expect(failing).rejects.toThrow('rolled back');
      await transact((run) =>
        announceInTransaction(run, entity('User', 'ü?'), TEAM),
      );
      expect(await app.next(2)).toEqual(['User:ü?', 'team:7:*']);
    });
  },
);
