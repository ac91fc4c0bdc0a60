import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  entity,
  InvalidationPublisher,
  InvalidationSubscriber,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { randomUUID } from 'node:crypto';
import { filter } from 'rxjs';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
  vi,
} from 'vitest';
import { Database, type Queries } from '../../sample-app/shared/database.js';
import { PgliteDatabase } from '../../sample-app/shared/pglite.database.js';
import { UserServiceModule } from '../../sample-app/user-service/user-service.module.js';
import { UsersOutbox } from '../../sample-app/user-service/users.outbox.js';
import { USERS_SCHEMA } from '../../sample-app/user-service/users.schema.js';
import { UsersService } from '../../sample-app/user-service/users.service.js';
import { said, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

// Counts the messages of decorated methods: their rows are announced once more.
vi.hoisted(() => (process.env['SAMPLE_APP_SOURCE'] = 'off'));

let database: Database;
let others: readonly InvalidationMessage[];
let apps: INestApplication[];

/** Starts one process of the user service, on the shared database. */
async function startUserService(): Promise<INestApplication> {
  const module = await Test.createTestingModule({
    imports: [UserServiceModule],
  })
    .overrideProvider(Database)
    .useValue(database)
    .compile();
  const app = module.createNestApplication({ logger: false });
  await app.init();
  apps.push(app);
  return app;
}

async function stored(): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM sample_users_outbox',
  );
  return row!.count;
}

beforeAll(async () => {
  const pglite = await PgliteDatabase.open();
  await pglite.run(USERS_SCHEMA);
  const close = pglite.close.bind(pglite);
  // The database is shared by several applications, none of which may close it.
  pglite.close = () => Promise.resolve();
  database = pglite;
  return close;
}, 60_000);

beforeEach(async () => {
  apps = [];
  const channel = randomUUID();
  process.env['REDIS_URL'] = inject('redisUrl');
  process.env['CACHE_INVALIDATION_CHANNEL'] = channel;
  await database.run('TRUNCATE sample_users, sample_users_outbox');
  others = (await startApp({ channel })).messages;
});

afterEach(async () => {
  await Promise.all(apps.map((app) => app.close()));
});

afterAll(() => {
  delete process.env['REDIS_URL'];
  delete process.env['CACHE_INVALIDATION_CHANNEL'];
});

describe('Sample app user service: outbox', () => {
  it('is empty again once the messages were published', async () => {
    const users = (await startUserService()).get(UsersService);
    const { id } = await users.create({ name: 'Ada' });
    await users.remove(id);
    await eventually(() =>
      expect(
        others.map(({ action, entityId, pattern }) => [
          action,
          entityId ?? pattern,
        ]),
      ).toEqual([
        ['Delete', `${id}`],
        ['Delete', `${id}`],
        ['Pattern', `feed:${id}:*`],
      ]),
    );
    await eventually(async () => expect(await stored()).toBe(0));
  });

  it('holds nothing of a transaction that was rolled back', async () => {
    const app = await startUserService();
    const users = app.get(UsersService);
    await expect(users.remove(0)).rejects.toThrow('No user 0');
    const publisher = app.get(InvalidationPublisher);
    const outbox = app.get(UsersOutbox);
    await expect(
      database.transaction(async (transaction) => {
        await outbox.add(transaction, [publisher.prepare(entity('User', 1))]);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    expect(await stored()).toBe(0);
    await publisher.invalidate('User', 2);
    await eventually(() => expect(others).toHaveLength(1));
  });

  it('is published by the next process if one dies between commit and publish', async () => {
    const first = await startUserService();
    const left = first.get(InvalidationPublisher).prepare(entity('User', 7));
    await database.transaction((transaction) =>
      first.get(UsersOutbox).add(transaction, [left]),
    );
    await first.close();
    await database.run(
      `UPDATE sample_users_outbox SET stored_at = now() - interval '1 minute'`,
    );

    await Promise.all([startUserService(), startUserService()]);
    await eventually(() =>
      expect(others.map(({ messageId }) => messageId)).toEqual([
        left.messageId,
      ]),
    );
    await eventually(async () => expect(await stored()).toBe(0));
    // Both instances have queried the outbox; only one has published the row.
    expect(others).toHaveLength(1);
  });
});

/** The method of a database that a test intercepts. */
interface Begins {
  begin(work: (transaction: Queries) => Promise<unknown>): Promise<unknown>;
}

describe('Sample app user service: renaming users', () => {
  /** Messages that others received before the final one. */
  async function heardUntil(
    publisher: InvalidationPublisher,
  ): Promise<string[]> {
    await publisher.invalidateCustom('end', 1);
    await eventually(() => expect(others.map(said)).toContain('end:1'));
    return others.map(said).slice(0, -1);
  }

  it('changes and publishes nothing if one fails in the transaction', async () => {
    const app = await startUserService();
    const users = app.get(UsersService);
    const { id } = await users.create({ name: 'Ada' });
    const renames = [
      { id, name: 'Countess' },
      { id: 999_999_999, name: 'Nobody' },
    ];
    await expect(users.updateAll(renames)).rejects.toThrow('No user 999999999');
    expect(await users.find(id)).toEqual({ id, name: 'Ada', version: 1 });
    const publisher = app.get(InvalidationPublisher);
    // Only the message of its creation.
    expect(await heardUntil(publisher)).toEqual([`User:${id}`]);
    expect(publisher.pending).toBe(0);
  });

  it('publishes all names once all are committed', async () => {
    const app = await startUserService();
    const users = app.get(UsersService);
    const ada = await users.create({ name: 'Ada' });
    const grace = await users.create({ name: 'Grace' });
    const transactions = vi.spyOn(database as unknown as Begins, 'begin');
    onTestFinished(() => transactions.mockRestore());
    /** State of each transaction when the message of its changes was delivered. */
    const told: (string | undefined)[] = [];
    app
      .get(InvalidationSubscriber)
      .messages$.pipe(filter(({ action }) => action === 'Update'))
      .subscribe(() =>
        told.push(transactions.mock.settledResults.at(-1)?.type),
      );
    const renamed = await users.updateAll([
      { id: ada.id, name: 'Ada Lovelace' },
      { id: grace.id, name: 'Grace Hopper' },
      { id: ada.id, name: 'Countess Lovelace' },
    ]);
    expect(renamed.map(({ version }) => version)).toEqual([2, 2, 3]);
    // One message for each, before the writer gets its answer.
    expect(told).toEqual(['fulfilled', 'fulfilled']);
    expect(await heardUntil(app.get(InvalidationPublisher))).toEqual([
      `User:${ada.id}`,
      `User:${grace.id}`,
      `User:${ada.id}`,
      `User:${grace.id}`,
    ]);
  });

  it('publishes a single name as well, and leaves nothing in the outbox', async () => {
    const app = await startUserService();
    const users = app.get(UsersService);
    const { id } = await users.create({ name: 'Ada' });
    await users.update(id, { name: 'Ada Lovelace' });
    expect(await heardUntil(app.get(InvalidationPublisher))).toEqual([
      `User:${id}`,
      `User:${id}`,
    ]);
    expect(others[1]).toMatchObject({ action: 'Update' });
    await eventually(async () => expect(await stored()).toBe(0));
  });

  it('publishes if the result of the COMMIT is unknown', async () => {
    const app = await startUserService();
    const users = app.get(UsersService);
    const { id } = await users.create({ name: 'Ada' });
    const begin = vi.spyOn(database as unknown as Begins, 'begin');
    begin.mockImplementationOnce(async (work) => {
      await work(database);
      throw new Error('Connection lost.');
    });
    onTestFinished(() => begin.mockRestore());
    await expect(users.update(id, { name: 'Countess' })).rejects.toThrow(
      'Connection lost',
    );
    expect(await heardUntil(app.get(InvalidationPublisher))).toEqual([
      `User:${id}`,
      `User:${id}`,
    ]);
  });
});
