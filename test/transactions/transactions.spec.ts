import type { PGlite } from '@electric-sql/pglite';
import {
  ClsPluginTransactional,
  NoOpTransactionalAdapter,
  Propagation,
  Transactional,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterDrizzleOrm } from '@nestjs-cls/transactional-adapter-drizzle-orm';
import { Inject, Injectable, Module, type DynamicModule } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { drizzle, type PgliteDatabase } from 'drizzle-orm/pglite';
import { Kysely, PostgresDialect, sql as kyselySql } from 'kysely';
import {
  InvalidatesCache,
  InvalidationPublisher,
  InvalidationScope,
  InvalidationSubscriber,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import {
  deferringAdapter,
  deferringDataSource,
  deferringSequelize,
  type EntityManagerLike,
} from 'nestjs-cache-invalidation/transactions';
import { InMemoryBroker, settled } from 'nestjs-cache-invalidation/testing';
import { ClsModule } from 'nestjs-cls';
import { Sequelize, type Transaction as SequelizeTransaction } from 'sequelize';
import { DataSource, type EntityManager } from 'typeorm';
import {
  addTransactionalDataSource,
  deleteDataSourceByName,
  initializeTransactionalContext,
  runInTransaction,
} from 'typeorm-transactional';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { openPglite, pgModuleOf, PglitePool } from '../support/pglite.js';
import { startApp } from '../testing/fakes/start-app.js';

const ROLLED_BACK = new Error('rolled back');

let db: PGlite;

beforeAll(async () => {
  db = await openPglite();
  await db.exec(
    `CREATE TABLE users (
       id integer PRIMARY KEY,
       name text NOT NULL,
       CONSTRAINT one_of_a_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED
     )`,
  );
  return () => db.close();
}, 60_000);

beforeEach(async () => {
  await db.exec(
    `TRUNCATE users; INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob')`,
  );
});

const namesNow = async (): Promise<string[]> => {
  const { rows } = await db.query<{ name: string }>(
    'SELECT name FROM users ORDER BY id',
  );
  return rows.map(({ name }) => name);
};

/** One transaction, or one savepoint, of an ORM. */
interface Transaction {
  rename(id: number, name: string): Promise<unknown>;
  nested(work: (inner: Transaction) => Promise<unknown>): Promise<unknown>;
}

interface Orm {
  transaction(work: (tx: Transaction) => Promise<unknown>): Promise<unknown>;
  /** Whether an error of the COMMIT itself is distinguished from a rollback. */
  readonly knowsCommit: boolean;
}

type Drizzle = Pick<PgliteDatabase, 'execute' | 'transaction'>;

function withDrizzle(): Orm {
  const on = (tx: Drizzle): Transaction => ({
    rename: (id, name) =>
      tx.execute(sql`UPDATE users SET name = ${name} WHERE id = ${id}`),
    nested: (work) =>
      InvalidationScope.run(() =>
        tx.transaction((inner) => work(on(inner as unknown as Drizzle))),
      ),
  });
  return {
    transaction: (work) => on(drizzle(db)).nested(work),
    knowsCommit: false,
  };
}

function withKysely(): Orm {
  const kysely = new Kysely<{ users: { id: number; name: string } }>({
    dialect: new PostgresDialect({ pool: new PglitePool(db) as never }),
  });
  const on = (tx: typeof kysely): Transaction => ({
    rename: (id, name) =>
      tx
        .updateTable('users')
        .set({ name })
        .where('id', '=', id)
        .executeTakeFirst(),
    nested: (work) =>
      InvalidationScope.run(async () => {
        await kyselySql`SAVEPOINT nested`.execute(tx);
        try {
          await work(on(tx));
        } catch (error) {
          await kyselySql`ROLLBACK TO SAVEPOINT nested`.execute(tx);
          throw error;
        }
      }),
  });
  return {
    transaction: (work) =>
      InvalidationScope.run(() =>
        kysely.transaction().execute((tx) => work(on(tx))),
      ),
    knowsCommit: false,
  };
}

function typeOrm(): Promise<DataSource> {
  class Pool extends PglitePool {
    constructor() {
      super(db);
    }
  }
  return new DataSource({ type: 'postgres', driver: { Pool } }).initialize();
}

async function withTypeOrm(): Promise<Orm> {
  const dataSource = deferringDataSource(await typeOrm());
  const on = (manager: EntityManager): Transaction => ({
    rename: (id, name) =>
      manager.query('UPDATE users SET name = $2 WHERE id = $1', [id, name]),
    nested: (work) => manager.transaction((inner) => work(on(inner))),
  });
  return {
    transaction: (work) =>
      dataSource.transaction('READ COMMITTED', (tx) => work(on(tx))),
    knowsCommit: true,
  };
}

type ClsAdapter = ConstructorParameters<
  typeof ClsPluginTransactional
>[0]['adapter'];

function clsModule(adapter: ClsAdapter, imports: DynamicModule[] = []) {
  return ClsModule.forRoot({
    plugins: [new ClsPluginTransactional({ adapter, imports })],
  });
}

/** CLS-managed: every call within a transaction takes part in it. */
function withSequelize(): Orm {
  const sequelize = deferringSequelize(
    new Sequelize({
      dialect: 'postgres',
      dialectModule: pgModuleOf(db),
      pool: { max: 1 },
      logging: false,
    }),
  );
  // Passes options on, as wrapping code does.
  const begin = sequelize.transaction.bind(sequelize) as (
    work: (transaction: SequelizeTransaction) => Promise<unknown>,
    options: undefined,
  ) => Promise<unknown>;
  const on = (transaction: SequelizeTransaction): Transaction => ({
    rename: (id, name) =>
      sequelize.query('UPDATE users SET name = $name WHERE id = $id', {
        bind: { id, name },
        transaction,
      }),
    nested: (work) =>
      sequelize.transaction({ transaction }, (inner) => work(on(inner))),
  });
  return {
    transaction: (work) => begin((tx) => work(on(tx)), undefined),
    knowsCommit: true,
  };
}

async function withTypeOrmTransactional(): Promise<Orm> {
  const dataSource = deferringDataSource(await typeOrm());
  initializeTransactionalContext();
  deleteDataSourceByName('default');
  addTransactionalDataSource(dataSource);
  const here: Transaction = {
    rename: (id, name) =>
      dataSource.query('UPDATE users SET name = $1 WHERE id = $2', [name, id]),
    nested: (work) => dataSource.manager.transaction(() => work(here)),
  };
  return {
    transaction: (work) => runInTransaction(() => work(here)),
    knowsCommit: true,
  };
}

function drizzleModule() {
  @Module({})
  class DatabaseModule {}
  const adapter = new TransactionalAdapterDrizzleOrm({
    drizzleInstanceToken: 'DB',
    defaultTxOptions: { isolationLevel: 'read committed' },
  });
  return clsModule(deferringAdapter(adapter), [
    {
      module: DatabaseModule,
      providers: [{ provide: 'DB', useValue: drizzle(db) }],
      exports: ['DB'],
    },
  ]);
}

async function withCls(): Promise<Orm> {
  const { app } = await startApp({ imports: [drizzleModule()] });
  const host = app.get(TransactionHost);
  const here: Transaction = {
    rename: (id, name) =>
      (host.tx as Drizzle).execute(
        sql`UPDATE users SET name = ${name} WHERE id = ${id}`,
      ),
    nested: (work) =>
      host.withTransaction(Propagation.Nested, () => work(here)),
  };
  return {
    transaction: (work) => host.withTransaction(() => work(here)),
    knowsCommit: true,
  };
}

/** Keeps a name until a message invalidates it. */
@Injectable()
class Names {
  readonly kept = new Map<number, string>();

  async get(id: number): Promise<string> {
    const name = this.kept.get(id) ?? (await namesNow())[id - 1]!;
    this.kept.set(id, name);
    return name;
  }

  @OnInvalidation('User')
  evict({ entityId }: InvalidationMessage): void {
    this.kept.delete(Number(entityId));
  }
}

/** Starts one instance that writes, and another that reads. */
async function start() {
  const broker = new InMemoryBroker();
  const { app: writer, recorder } = await startApp({ broker });
  const { app: reader } = await startApp({ broker, providers: [Names] });
  const publisher = writer.get(InvalidationPublisher);
  const names = reader.get(Names);
  for (const id of [1, 2]) await names.get(id);
  const heard: string[] = [];
  writer
    .get(InvalidationSubscriber)
    .messages$.subscribe((message) => heard.push(said(message)));
  return {
    names,
    publish: (id: number) => publisher.invalidate('User', id),
    /** Publishes a message outside of the transaction. */
    sentinel: () =>
      InvalidationScope.runNew(() => publisher.invalidate('sentinel', '1')),
    /** Messages of this instance and of all others, once nothing is under way. */
    async heard(): Promise<string[]> {
      await settled(writer, reader);
      expect(recorder.published.map(said)).toEqual(heard);
      return [...heard];
    },
  };
}

describe.each([
  ['Drizzle', withDrizzle],
  ['Kysely', withKysely],
  ['TypeORM', withTypeOrm],
  ['@nestjs-cls/transactional', withCls],
  ['typeorm-transactional', withTypeOrmTransactional],
  ['Sequelize', withSequelize],
])('Transactions with %s, on PostgreSQL', (_name, connect) => {
  it('publishes a change after the COMMIT, once', async () => {
    const orm = await connect();
    const { publish, heard, names } = await start();
    await orm.transaction(async (tx) => {
      await tx.rename(1, 'Grace');
      expect(await publish(1)).toMatchObject({ status: 'deferred' });
      await tx.rename(1, 'Grace Hopper');
      await publish(1);
      // The reader keeps the committed value, and need not load it again.
      expect(await heard()).toEqual([]);
      expect(names.kept.get(1)).toBe('Ada');
    });
    expect(await heard()).toEqual(['User:1']);
    expect(await names.get(1)).toBe('Grace Hopper');
  });

  it('publishes nothing after a rollback', async () => {
    const orm = await connect();
    const { publish, heard } = await start();
    const failing = orm.transaction(async (tx) => {
      await tx.rename(1, 'Grace');
      await publish(1);
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(await namesNow()).toEqual(['Ada', 'Bob']);
    expect(await heard()).toEqual([]);
  });

  it('publishes nothing when the database rejects a change', async () => {
    const orm = await connect();
    const { publish, heard } = await start();
    const failing = orm.transaction(async (tx) => {
      await tx.rename(1, 'Grace');
      await publish(1);
      await tx.rename(2, null as never);
    });
    await expect(failing).rejects.toThrow(/null value|Failed query/);
    expect(await namesNow()).toEqual(['Ada', 'Bob']);
    expect(await heard()).toEqual([]);
  });

  it('discards with a savepoint only its own changes', async () => {
    const orm = await connect();
    const { publish, heard, names } = await start();
    await orm.transaction(async (tx) => {
      await tx.rename(1, 'Grace');
      await publish(1);
      const nested = tx.nested(async (inner) => {
        await inner.rename(2, 'Barbara');
        await publish(2);
        throw ROLLED_BACK;
      });
      await expect(nested).rejects.toBe(ROLLED_BACK);
      expect(await heard()).toEqual([]);
    });
    expect(await heard()).toEqual(['User:1']);
    expect(names.kept).toEqual(new Map([[2, 'Bob']]));
    expect(await names.get(1)).toBe('Grace');
  });

  it('publishes the changes of a nested transaction with the outer COMMIT, or not at all', async () => {
    const orm = await connect();
    const { publish, heard } = await start();
    const work = async (tx: Transaction): Promise<void> => {
      await tx.nested(async (inner) => {
        await inner.rename(2, 'Barbara');
        await publish(2);
      });
      expect(await heard()).toEqual([]);
    };
    const failing = orm.transaction(async (tx) => {
      await work(tx);
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(await heard()).toEqual([]);
    await orm.transaction(work);
    expect(await heard()).toEqual(['User:2']);
    expect(await namesNow()).toEqual(['Ada', 'Barbara']);
  });

  it('keeps two concurrent requests apart', async () => {
    const orm = await connect();
    const { publish, heard } = await start();
    const [committed, failed] = await Promise.allSettled([
      orm.transaction(async (tx) => {
        await tx.rename(1, 'Grace');
        await publish(1);
        expect(await heard()).toEqual([]);
      }),
      orm.transaction(async (tx) => {
        await tx.rename(2, 'Barbara');
        await publish(2);
        throw ROLLED_BACK;
      }),
    ]);
    expect([committed.status, failed.status]).toEqual([
      'fulfilled',
      'rejected',
    ]);
    expect(await heard()).toEqual(['User:1']);
  });

  it('does not hold back other publishes', async () => {
    const orm = await connect();
    const { publish, sentinel, heard } = await start();
    await orm.transaction(async (tx) => {
      await tx.rename(1, 'Grace');
      await publish(1);
      await sentinel();
      expect(await heard()).toEqual(['sentinel:1']);
    });
    expect(await heard()).toEqual(['sentinel:1', 'User:1']);
  });

  it('publishes when the result of the COMMIT is unknown, if it can', async () => {
    const orm = await connect();
    const { publish, heard } = await start();
    const failing = orm.transaction(async (tx) => {
      await tx.rename(1, 'Bob');
      await publish(1);
    });
    await expect(failing).rejects.toThrow(/one_of_a_name|Validation error/);
    expect(await heard()).toEqual(orm.knowsCommit ? ['User:1'] : []);
  });
});

describe('@Transactional(), with deferringAdapter()', () => {
  @Injectable()
  class Users {
    constructor(
      @Inject(TransactionHost)
      private readonly host: TransactionHost,
      @Inject(InvalidationPublisher)
      private readonly publisher: InvalidationPublisher,
    ) {}

    @Transactional()
    @InvalidatesCache('User', (id: number) => id)
    async above(id: number, name: string, then: () => unknown): Promise<void> {
      await this.rename(id, name);
      await then();
    }

    @InvalidatesCache('User', (id: number) => id)
    @Transactional()
    async below(id: number, name: string, then: () => unknown): Promise<void> {
      await this.rename(id, name);
      await then();
    }

    @Transactional()
    async surviving(): Promise<void> {
      await this.failing().catch(() => undefined);
    }

    @Transactional()
    private async failing(): Promise<void> {
      await this.rename(1, 'Grace');
      throw ROLLED_BACK;
    }

    private async rename(id: number, name: string): Promise<void> {
      await (this.host.tx as Drizzle).execute(
        sql`UPDATE users SET name = ${name} WHERE id = ${id}`,
      );
      await this.publisher.invalidate('Name', id);
    }
  }

  async function startUsers() {
    const { app, recorder } = await startApp({
      imports: [drizzleModule()],
      providers: [Users],
    });
    const users = app.get(Users);
    const heard = async (): Promise<string[]> => {
      await settled(app);
      return recorder.published.map(said);
    };
    return { users, heard };
  }

  it.each(['above', 'below'] as const)(
    '%s @InvalidatesCache(): publishes the change after the COMMIT',
    async (method) => {
      const { users, heard } = await startUsers();
      await users[method](1, 'Grace', async () =>
        expect(await heard()).toEqual([]),
      );
      expect(await heard()).toEqual(['Name:1', 'User:1']);
      expect(await namesNow()).toEqual(['Grace', 'Bob']);
    },
  );

  it.each(['above', 'below'] as const)(
    '%s @InvalidatesCache(): publishes nothing after a rollback',
    async (method) => {
      const { users, heard } = await startUsers();
      const failing = users[method](1, 'Grace', () =>
        Promise.reject(ROLLED_BACK),
      );
      await expect(failing).rejects.toBe(ROLLED_BACK);
      expect(await heard()).toEqual([]);
    },
  );

  it('publishes the changes of a joined method whose error is caught', async () => {
    const { users, heard } = await startUsers();
    await users.surviving();
    expect(await namesNow()).toEqual(['Grace', 'Bob']);
    expect(await heard()).toEqual(['Name:1']);
  });

  it('publishes what RequiresNew committed, independently of the outer transaction', async () => {
    // A second transaction needs a second connection, which PGlite does not have.
    const adapter = new NoOpTransactionalAdapter({
      tx: {},
      disableWarning: true,
    });
    const { app, recorder } = await startApp({
      imports: [clsModule(deferringAdapter(adapter))],
    });
    const host = app.get(TransactionHost);
    const publisher = app.get(InvalidationPublisher);
    const failing = host.withTransaction(async () => {
      await publisher.invalidate('User', 1);
      await host.withTransaction(Propagation.RequiresNew, () =>
        publisher.invalidate('User', 2),
      );
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    await settled(app);
    expect(recorder.published.map(said)).toEqual(['User:2']);
  });
});

it('deferringDataSource() publishes an independent transaction after its own COMMIT', async () => {
  const { publish, heard } = await start();
  // Two connections, which PGlite does not have.
  const manager = (): EntityManagerLike => ({
    queryRunner: { isTransactionActive: false },
    transaction: (work: () => Promise<unknown>) => work(),
  });
  const dataSource = deferringDataSource({
    manager: manager(),
    createEntityManager: manager,
  });
  const failing = dataSource.manager.transaction(async () => {
    await publish(1);
    await dataSource.createEntityManager().transaction(() => publish(2));
    throw ROLLED_BACK;
  });
  await expect(failing).rejects.toBe(ROLLED_BACK);
  expect(await heard()).toEqual(['User:2']);
});
