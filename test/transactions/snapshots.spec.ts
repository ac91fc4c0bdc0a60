import { AsyncLocalStorage } from 'node:async_hooks';
import {
  ClsPluginTransactional,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterDrizzleOrm } from '@nestjs-cls/transactional-adapter-drizzle-orm';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import {
  Cached,
  InvalidationPublisher,
  InvalidationScope,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { CachedRoute } from 'nestjs-cache-invalidation/http';
import {
  deferringAdapter,
  deferringDataSource,
  deferringSequelize,
} from 'nestjs-cache-invalidation/transactions';
import { ClsModule } from 'nestjs-cls';
import pg from 'pg';
import { defer, from, lastValueFrom, type Observable } from 'rxjs';
import { Sequelize, Transaction } from 'sequelize';
import { DataSource } from 'typeorm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useServer } from '../postgres/setup.js';
import { startApp } from '../testing/fakes/start-app.js';

const server = useServer();

const LEVELS = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;
type Level = (typeof LEVELS)[number];

/** Loads the name of the one user. */
type Load = () => Promise<string>;
type Transact = (
  level: Level,
  work: (load: Load) => Promise<void>,
) => Promise<unknown>;

const NAME = 'select name from users';

const nameOf = (rows: readonly unknown[]): string =>
  (rows[0] as { name: string }).name;

function openPool(): pg.Pool {
  const pool = new pg.Pool({ connectionString: server().url, max: 2 });
  onTestFinished(() => pool.end());
  return pool;
}

/** A transaction that the library does not know of. */
async function byHand(): Promise<Transact> {
  const client = await server().connect();
  return async (level, work) => {
    await client.query(`begin isolation level ${level}`);
    await work(async () => nameOf((await client.query(NAME)).rows));
    await client.query('commit');
  };
}

async function withScope(): Promise<Transact> {
  const transact = await byHand();
  return (level, work) => InvalidationScope.run(() => transact(level, work));
}

async function withTypeOrm(): Promise<Transact> {
  const plain = new DataSource({ type: 'postgres', url: server().url });
  const dataSource = deferringDataSource(await plain.initialize());
  onTestFinished(() => dataSource.destroy());
  return (level, work) =>
    dataSource.transaction(level, (tx) =>
      work(async () => nameOf(await tx.query<unknown[]>(NAME))),
    );
}

async function withSequelize(): Promise<Transact> {
  const sequelize = deferringSequelize(
    new Sequelize(server().url, { logging: false }),
  );
  onTestFinished(() => sequelize.close());
  return (level, work) =>
    sequelize.transaction(
      { isolationLevel: level as Transaction.ISOLATION_LEVELS },
      (transaction) =>
        work(async () => {
          const [rows] = await sequelize.query(NAME, { transaction });
          return nameOf(rows);
        }),
    );
}

async function withCls(): Promise<Transact> {
  @Module({
    providers: [{ provide: 'DB', useValue: drizzle(openPool()) }],
    exports: ['DB'],
  })
  class DatabaseModule {}
  const adapter = deferringAdapter(
    new TransactionalAdapterDrizzleOrm({ drizzleInstanceToken: 'DB' }),
  );
  const plugin = new ClsPluginTransactional({
    adapter,
    imports: [DatabaseModule],
  });
  const { app } = await startApp({
    imports: [ClsModule.forRoot({ plugins: [plugin] })],
  });
  const host =
    app.get<TransactionHost<TransactionalAdapterDrizzleOrm<NodePgDatabase>>>(
      TransactionHost,
    );
  return (level, work) => {
    const isolationLevel = level.toLowerCase() as Lowercase<Level>;
    return host.withTransaction({ isolationLevel }, () =>
      work(async () => nameOf((await host.tx.execute(sql.raw(NAME))).rows)),
    );
  };
}

/** Calls are those of another request: no scope holds back what they publish. */
const elsewhere = AsyncLocalStorage.snapshot();

@Injectable()
class Profiles {
  @Cached('User', (...[id]: [number, Load]) => id)
  async find(id: number, load: Load): Promise<string> {
    return load();
  }
}

/** An instance with the ways to read a user that it caches. */
async function start() {
  await server().sql(
    `drop table if exists users; create table users as select 1 as id, 'old' as name`,
  );
  const { app } = await startApp({ providers: [Profiles] });
  const publisher = app.get(InvalidationPublisher);
  const caches = app.get(NearCacheFactory);
  const [one, many] = [0, 1].map(() => caches.create<string>('User'));
  const read = async (load: Load): Promise<string[]> => [
    await one!.get(1, load),
    (await many!.getMany([1], async () => new Map([[1, await load()]]))).get(
      1,
    )!,
    await app.get(Profiles).find(1, load),
  ];
  const committed: Load = async () => nameOf(await server().sql(NAME));
  return {
    read,
    /** Commits a change, and invalidates. */
    change: () =>
      elsewhere(async () => {
        await server().sql(`update users set name = 'new'`);
        await publisher.invalidate('User', 1);
      }),
    readLater: () => elsewhere(() => read(committed)),
  };
}

const all = (name: string): string[] => [name, name, name];

/**
 * The reads of a transaction whose snapshot is older than a change, after it was
 * invalidated, and those of a later request.
 */
async function race(transact: Transact, level: Level) {
  const { read, change, readLater } = await start();
  let within: string[] = [];
  await transact(level, async (load) => {
    await load();
    await change();
    within = await read(load);
  });
  return { within, later: await readLater() };
}

const seenBy = (level: Level): string =>
  level === 'READ COMMITTED' ? 'new' : 'old';

describe.each([
  ['TypeORM', withTypeOrm],
  ['@nestjs-cls/transactional', withCls],
  ['Sequelize', withSequelize],
  ['InvalidationScope', withScope],
])('Near caches in a transaction with %s', (_, connect) => {
  it.each(LEVELS)('keep nothing of its snapshot: %s', async (level) => {
    const { within, later } = await race(await connect(), level);
    expect(within).toEqual(all(seenBy(level)));
    expect(later).toEqual(all('new'));
  });

  it.each(LEVELS)(
    'load by it what they have from elsewhere: %s',
    async (level) => {
      const transact = await connect();
      const { read, change, readLater } = await start();
      await transact(level, async (load) => {
        await load();
        await change();
        expect(await readLater()).toEqual(all('new'));
        expect(await read(load)).toEqual(all(seenBy(level)));
      });
    },
  );

  it('keep nothing that a loader reads in one of its own, if a change overtakes it', async () => {
    const transact = await connect();
    const { read, change, readLater } = await start();
    const [name] = await read(async () => {
      const names: string[] = [];
      await transact('REPEATABLE READ', async (load) => {
        await load();
        await change();
        names.push(await load());
      });
      return names.join();
    });
    expect(name).toBe('old');
    expect(await readLater()).toEqual(all('new'));
  });
});

describe('Near caches in a transaction that the library does not know of', () => {
  it.each(LEVELS)('keep what its snapshot has: %s', async (level) => {
    const { within, later } = await race(await byHand(), level);
    expect(within).toEqual(all(seenBy(level)));
    expect(later).toEqual(all(seenBy(level)));
  });
});

describe('A cached route in a transaction of an interceptor', () => {
  /** The transaction of a request, with a change that its snapshot does not have. */
  class Transactions {
    load: Load = async () => nameOf(await server().sql(NAME));
    constructor(
      readonly transact: Transact,
      readonly change: () => Promise<unknown>,
    ) {}
  }

  @Injectable()
  class InTransaction implements NestInterceptor {
    #isFirst = true;
    constructor(
      @Inject(Transactions) private readonly transactions: Transactions,
    ) {}

    intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
      if (!this.#isFirst) return next.handle();
      this.#isFirst = false;
      return defer(() => from(this.#run(next)));
    }

    async #run(next: CallHandler): Promise<unknown> {
      const { transactions } = this;
      const { load: committed } = transactions;
      let body: unknown;
      await transactions.transact('REPEATABLE READ', async (load) => {
        await load();
        await transactions.change();
        transactions.load = load;
        body = await lastValueFrom(next.handle());
      });
      transactions.load = committed;
      return body;
    }
  }

  @Controller('users')
  class Users {
    constructor(
      @Inject(Transactions) private readonly transactions: Transactions,
    ) {}

    @Get(':id')
    @CachedRoute('User', ({ params }: { params: { id: string } }) => params.id)
    find(): Promise<string> {
      return this.transactions.load();
    }
  }

  it.each([
    ['InvalidationScope', withScope, 'new'],
    ['none', byHand, 'old'],
  ])('with %s', async (_, connect, later) => {
    const transact = await connect();
    await server().sql(
      `drop table if exists users; create table users as select 1 as id, 'old' as name`,
    );
    const { app } = await startApp({
      controllers: [Users],
      providers: [
        { provide: APP_INTERCEPTOR, useClass: InTransaction },
        {
          provide: Transactions,
          inject: [InvalidationPublisher],
          useFactory: (publisher: InvalidationPublisher) =>
            new Transactions(transact, () =>
              elsewhere(async () => {
                await server().sql(`update users set name = 'new'`);
                await publisher.invalidate('User', 1);
              }),
            ),
        },
      ],
    });
    const http: INestApplication = app.createNestApplication();
    await http.listen(0, '127.0.0.1');
    onTestFinished(() => http.close());
    const get = async (): Promise<string> =>
      (await fetch(`${await http.getUrl()}/users/1`)).text();
    expect(await get()).toBe('old');
    expect(await get()).toBe(later);
  });
});
