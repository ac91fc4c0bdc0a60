import { PrismaPg } from '@prisma/adapter-pg';
import { capturePrisma } from 'nestjs-cache-invalidation/postgres';
import { describe, expect, it, onTestFinished } from 'vitest';
import { getPrismaClientClass } from './prisma/generated/internal/class.js';
import { POST, startListener, useShop, type Listener } from './shop.js';

const PrismaClient = getPrismaClientClass();

type Client = InstanceType<typeof PrismaClient>;
type Transaction = Parameters<Parameters<Client['$transaction']>[0]>[0];

const server = useShop();

async function start(
  options: Parameters<typeof startListener>[0] = {},
): Promise<Listener & { db: Client }> {
  const listener = await startListener(options);
  const adapter = new PrismaPg(
    { connectionString: server().url },
    { onConnectionError: () => {} },
  );
  const db = new PrismaClient({
    adapter: capturePrisma(adapter, listener.options),
  });
  onTestFinished(() => db.$disconnect());
  return { ...listener, db };
}

const eve = { name: 'Eve' };
const rename = (db: Transaction, id: number) =>
  db.user.update({ where: { id }, data: eve });

type Cell = readonly [
  title: string,
  write: (db: Client) => PromiseLike<unknown>,
  heard: readonly string[],
];

describe('capturePrisma() announces', () => {
  it.each<Cell>([
    ['no read', (db) => db.user.findMany({ include: { posts: true } }), []],
    ['create', (db) => db.user.create({ data: eve }), ['User:4']],
    [
      'createMany without keys: the type',
      (db) => db.user.createMany({ data: [eve, eve] }),
      ['user:*'],
    ],
    [
      'createMany with keys',
      (db) =>
        db.user.createMany({
          data: [
            { id: 1, ...eve },
            { id: 8, ...eve },
          ],
          skipDuplicates: true,
        }),
      ['user:1,user:8'],
    ],
    [
      'createManyAndReturn',
      (db) => db.user.createManyAndReturn({ data: [eve, eve] }),
      ['user:4,user:5'],
    ],
    ['update', (db) => rename(db, 1), ['User:1']],
    [
      'update of the key: both keys',
      (db) => db.user.update({ where: { id: 3 }, data: { id: 9 } }),
      ['user:3,user:9'],
    ],
    [
      'updateMany by keys',
      (db) => db.user.updateMany({ where: { id: { in: [1, 2] } }, data: eve }),
      ['user:1,user:2'],
    ],
    [
      'updateMany by another field: the type',
      (db) => db.user.updateMany({ where: { team: 'red' }, data: eve }),
      ['user:*'],
    ],
    [
      'updateManyAndReturn',
      (db) =>
        db.user.updateManyAndReturn({ where: { team: 'red' }, data: eve }),
      ['user:1,user:2'],
    ],
    [
      'upsert',
      (db) =>
        db.user.upsert({
          where: { id: 1 },
          create: { id: 1, ...eve },
          update: eve,
        }),
      ['User:1'],
    ],
    [
      'nested writes, each of its own table',
      (db) =>
        db.user.update({
          where: { id: 1 },
          data: {
            name: 'Eve',
            posts: { update: { where: { id: POST }, data: { title: 'Hi' } } },
          },
        }),
      [`user:1,post:${POST}`],
    ],
    [
      'nested creates without keys: the type',
      (db) =>
        db.user.create({
          data: { ...eve, posts: { create: [{ title: 'A' }, { title: 'B' }] } },
        }),
      ['User:4', 'post:*'],
    ],
    [
      'delete, which cascades in the database: the type of the other table',
      (db) => db.user.delete({ where: { id: 1 } }),
      ['User:1', 'post:*'],
    ],
    [
      'deleteMany by another field: the type',
      (db) => db.post.deleteMany({ where: { title: 'Hello' } }),
      ['post:*'],
    ],
    [
      'a composite key, by a mapper',
      (db) =>
        db.membership.update({
          where: { userId_teamId: { userId: 1, teamId: 'red' } },
          data: { role: 'guest' },
        }),
      ['team:red:*'],
    ],
    [
      'a mapper that reads what is not known: its types',
      (db) => db.membership.deleteMany({ where: { userId: 1 } }),
      ['team:*'],
    ],
    [
      '$executeRaw that names its row',
      (db) => db.$executeRaw`update users set name = 'Eve' where id = ${2}`,
      ['User:2'],
    ],
    [
      '$queryRaw with RETURNING',
      (db) => db.$queryRaw`delete from posts returning id`,
      [`Post:${POST}`],
    ],
    [
      'a key that the adapter rewrites: the type',
      (db) => db.$queryRaw`delete from moments returning at`,
      ['Moment:*'],
    ],
    [
      'other raw SQL: the types of the tables that it names',
      (db) => db.$executeRawUnsafe('truncate users cascade'),
      ['post:*', 'user:*'],
    ],
    [
      'a client with extensions',
      (db) => {
        const extended: unknown = db.$extends({
          query: {
            user: {
              // A delete that only marks the row.
              delete: ({ args }: { args: object }) =>
                db.user.update({ ...args, data: { team: null } }),
            },
          },
        });
        return (extended as Client).user.delete({ where: { id: 1 } });
      },
      ['User:1'],
    ],
    [
      '$transaction([…]), merged',
      (db) => db.$transaction([rename(db, 1), rename(db, 2)]),
      ['user:1,user:2'],
    ],
  ])('%s', async (_, write, heard) => {
    const { db, ...listener } = await start();
    expect(await listener.heard(() => write(db))).toEqual(heard);
  });
});

describe('capturePrisma() announces an interactive transaction', () => {
  it('after its commit, merged', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.$transaction(async (tx: Transaction) => {
        expect(
          await heard(async () => {
            await rename(tx, 1);
            await tx.$executeRaw`update users set name = 'Eve' where id = 2`;
          }),
        ).toEqual([]);
      }),
    );
    expect(said).toEqual(['user:1,user:2']);
  });

  it('not at all when it is rolled back', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.$transaction(async (tx: Transaction) => {
        await rename(tx, 1);
        throw new Error('no');
      }),
    );
    expect(said).toEqual(['no']);
  });

  it('that others run at the same time, each with its own writes', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.$transaction(async (tx: Transaction) => {
        await rename(tx, 1);
        expect(await heard(() => rename(db, 2))).toEqual(['User:2']);
      }),
    );
    expect(said).toEqual(['User:1', 'User:2']);
  });

  it('whose commit has an unknown outcome', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.$transaction(async (tx: Transaction) => {
        await rename(tx, 1);
        // The answer to COMMIT is lost with the connection.
        await tx.$executeRaw`select pg_terminate_backend(pg_backend_pid())`.catch(
          () => null,
        );
      }),
    );
    expect(said.slice(1)).toEqual(['User:1']);
  });

  it('with nested ones, and with what a savepoint took back', async () => {
    const { db, heard } = await start();
    const said = await heard(() =>
      db.$transaction(async (tx: Transaction) => {
        await tx.$transaction((inner: Transaction) => rename(inner, 1));
        await tx
          .$transaction(async (inner: Transaction) => {
            await rename(inner, 2);
            throw new Error('no');
          })
          .catch(() => null);
      }),
    );
    expect(said).toEqual(['user:1,user:2']);
  });
});

it('capturePrisma() announces a key that the database makes', async () => {
  const { db, heard } = await start();
  const said = await heard(() =>
    db.post.create({ data: { title: 'Hi', authorId: 1 } }),
  );
  const { id } = await db.post.findFirstOrThrow({ where: { title: 'Hi' } });
  expect(said).toEqual([`Post:${id}`]);
});

it('capturePrisma() captures an adapter that sends COMMIT itself', async () => {
  const { options, heard } = await startListener();
  const adapter = new PrismaPg({ connectionString: server().url });
  const db = new PrismaClient({
    adapter: capturePrisma(committing(adapter), options),
  });
  onTestFinished(() => db.$disconnect());
  const said = await heard(async () => {
    await db.$transaction(async (tx: Transaction) => {
      expect(await heard(() => rename(tx, 1))).toEqual([]);
    });
    await db
      .$transaction(async (tx: Transaction) => {
        await rename(tx, 2);
        throw new Error('no');
      })
      .catch(() => null);
  });
  expect(said).toEqual(['User:1']);
});

/** As adapters do that have transactions of their own, such as those over HTTP. */
function committing(adapter: PrismaPg): PrismaPg {
  const connect = adapter.connect.bind(adapter);
  adapter.connect = async () => {
    const connected = await connect();
    const begin = connected.startTransaction.bind(connected);
    connected.startTransaction = async (level) => {
      const tx = await begin(level);
      const end = (sql: string, release: () => Promise<void>) => async () => {
        await tx.executeRaw({ sql, args: [], argTypes: [] });
        await release();
      };
      return Object.assign(tx, {
        options: { usePhantomQuery: true },
        commit: end('COMMIT', tx.commit.bind(tx)),
        rollback: end('ROLLBACK', tx.rollback.bind(tx)),
      });
    };
    return connected;
  };
  return adapter;
}
