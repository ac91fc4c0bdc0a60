import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  entity,
  InvalidationPublisher,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { randomUUID } from 'node:crypto';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  it,
} from 'vitest';
import { Database } from '../../sample-app/shared/database.js';
import { PgliteDatabase } from '../../sample-app/shared/pglite.database.js';
import { UserServiceModule } from '../../sample-app/user-service/user-service.module.js';
import { UsersOutbox } from '../../sample-app/user-service/users.outbox.js';
import { USERS_SCHEMA } from '../../sample-app/user-service/users.schema.js';
import { UsersService } from '../../sample-app/user-service/users.service.js';
import { startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

let database: Database;
let others: readonly InvalidationMessage[];
let apps: INestApplication[];

/** One process of the user service, on the database of all. */
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
  // Shared by several applications, none of which may close it.
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

describe('the outbox of the user service', () => {
  it('is empty again once everybody has been told', async () => {
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

  it('says nothing of a transaction that was rolled back', async () => {
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

  it('is sent by the next process if one dies between commit and publish', async () => {
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
    // Both have looked; only one has sent it.
    expect(others).toHaveLength(1);
  });
});
