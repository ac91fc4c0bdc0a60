import {
  Collection,
  EntitySchema,
  LockMode,
  OptionalProps,
  type EventSubscriber,
  type FlushEventArgs,
} from '@mikro-orm/core';
import { MikroORM, raw } from '@mikro-orm/postgresql';
import {
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { captureMikroOrm } from 'nestjs-cache-invalidation/postgres';
import { useServer } from '../setup.js';
import { startCaptureApp, type CaptureApp } from './setup.js';

const server = useServer();

class User {
  [OptionalProps]?: 'visits';
  id!: number;
  name!: string;
  visits = 0;
  groups = new Collection<Group>(this);
  posts = new Collection<Post>(this);
}

class Group {
  id!: number;
  label!: string;
}

class Post {
  id!: string;
  title!: string;
  user?: User | null;
}

class Member {
  teamId!: number;
  userId!: number;
  role!: string;
}

const ENTITIES = [
  new EntitySchema<User>({
    class: User,
    tableName: 'users',
    properties: {
      id: { type: 'number', primary: true, autoincrement: true },
      name: { type: 'string', unique: true },
      visits: { type: 'number', default: 0 },
      groups: {
        kind: 'm:n',
        entity: () => Group,
        owner: true,
        pivotTable: 'user_groups',
        joinColumn: 'user_id',
        inverseJoinColumn: 'group_id',
      },
      posts: {
        kind: '1:m',
        entity: () => Post,
        mappedBy: 'user',
        orphanRemoval: true,
      },
    },
  }),
  new EntitySchema<Group>({
    class: Group,
    tableName: 'groups',
    properties: {
      id: { type: 'number', primary: true },
      label: { type: 'string' },
    },
  }),
  new EntitySchema<Post>({
    class: Post,
    tableName: 'posts',
    properties: {
      id: { type: 'uuid', primary: true },
      title: { type: 'string' },
      user: { kind: 'm:1', entity: () => User, nullable: true },
    },
  }),
  new EntitySchema<Member>({
    class: Member,
    tableName: 'members',
    properties: {
      teamId: { type: 'number', primary: true },
      userId: { type: 'number', primary: true },
      role: { type: 'string' },
    },
  }),
];

const [A, B] = ['a', 'b'].map(
  (end) => `00000000-0000-4000-8000-00000000000${end}`,
);

function openOrm(subscribers: EventSubscriber[] = []): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: server().url,
    entities: ENTITIES,
    subscribers,
  });
}

let app: CaptureApp;
let orm: MikroORM;
let em: MikroORM['em'];

beforeAll(async () => {
  const plain = await openOrm();
  await plain.schema.createSchema();
  await plain.close();
});

async function capture(subscribers: EventSubscriber[] = []): Promise<void> {
  orm = await openOrm(subscribers);
  onTestFinished(() => orm.close());
  captureMikroOrm(orm, {
    publisher: app.publisher,
    tables: {
      'public.users': 'User',
      'public.posts': 'Post',
      'public.members': 'member',
      'public.user_groups': 'user_group',
    },
  });
  em = orm.em.fork();
}

beforeEach(async () => {
  app = await startCaptureApp();
  await server().sql(`
    truncate users, posts, groups, members restart identity cascade;
    insert into users (id, name) values (101, 'one'), (102, 'two'), (103, 'three');
    insert into groups values (1, 'g'), (2, 'h');
    insert into user_groups values (101, 1);
    insert into posts values ('${A}', 'p', 101);
    insert into members values (7, 101, 'x'), (8, 101, 'y');`);
  await capture();
});

/** A write, and what is announced. */
type Write = [string, () => Promise<unknown>, readonly string[]];

const WRITES: Write[] = [
  // The unit of work.
  [
    'flush() of a new entity',
    () => em.persistAndFlush(em.create(User, { name: 'n' })),
    ['User:1'],
  ],
  [
    'flush() of several new entities',
    async () => {
      em.create(User, { name: 'n' }, { persist: true });
      em.create(User, { name: 'm' }, { persist: true });
      await em.flush();
    },
    ['user:1', 'user:2'],
  ],
  [
    'flush() of a changed entity',
    async () => {
      const user = await em.findOneOrFail(User, 101);
      user.name = 'n';
      await em.flush();
    },
    ['User:101'],
  ],
  [
    'flush() of several changed entities',
    async () => {
      for (const user of await em.findAll(User)) user.name += '!';
      await em.flush();
    },
    ['user:101', 'user:102', 'user:103'],
  ],
  [
    'flush() of nothing changed',
    async () => {
      await em.findAll(User);
      await em.flush();
    },
    [],
  ],
  [
    'flush() of a reference',
    async () => {
      em.assign(em.getReference(User, 101), { name: 'n' });
      await em.flush();
    },
    ['User:101'],
  ],
  [
    'flush() with a cascade',
    async () => {
      const user = em.create(User, { name: 'n' });
      user.posts.add(em.create(Post, { id: B!, title: 't' }));
      await em.persistAndFlush(user);
    },
    [`post:${B}`, 'user:1'],
  ],
  [
    'flush() with an orphan',
    async () => {
      const user = await em.findOneOrFail(User, 101, { populate: ['posts'] });
      user.posts.removeAll();
      await em.flush();
    },
    [`Post:${A}`],
  ],
  [
    'flush() of a many-to-many relation',
    async () => {
      const user = await em.findOneOrFail(User, 101, { populate: ['groups'] });
      user.groups.set([em.getReference(Group, 2)]);
      await em.flush();
    },
    ['user_group:101:1', 'user_group:101:2'],
  ],
  [
    'flush() of composite keys',
    async () => {
      for (const member of await em.findAll(Member)) member.role = 'n';
      await em.flush();
    },
    ['member:7:101', 'member:8:101'],
  ],
  [
    'flush() of a changed key',
    async () => {
      const member = await em.findOneOrFail(Member, { teamId: 7, userId: 101 });
      member.teamId = 9;
      await em.flush();
    },
    ['member:7:101', 'member:9:101'],
  ],
  [
    'flush() of a removed entity',
    async () => {
      await em.removeAndFlush(await em.findOneOrFail(User, 102));
    },
    ['User:102', 'post:*', 'user_group:*'],
  ],
  [
    'flush() of removed composite keys',
    async () => {
      for (const member of await em.findAll(Member)) em.remove(member);
      await em.flush();
    },
    ['member:7:101', 'member:8:101'],
  ],
  // The entity manager.
  ['insert()', () => em.insert(User, { name: 'n' }), ['User:1']],
  [
    'insertMany()',
    () => em.insertMany(User, [{ name: 'n' }, { name: 'm' }]),
    ['user:1', 'user:2'],
  ],
  [
    'upsert() by the key',
    () => em.upsert(Member, { teamId: 7, userId: 101, role: 'n' }),
    ['member:7:101'],
  ],
  [
    'upsert() by another column',
    () => em.upsert(User, { name: 'one', visits: 1 }),
    ['User:101'],
  ],
  [
    'upsertMany()',
    () =>
      em.upsertMany(Member, [
        { teamId: 7, userId: 101, role: 'n' },
        { teamId: 9, userId: 1, role: 'm' },
      ]),
    ['member:7:101', 'member:9:1'],
  ],
  [
    'nativeUpdate() by id',
    () => em.nativeUpdate(User, 101, { name: 'n' }),
    ['User:101'],
  ],
  [
    'nativeUpdate() by ids',
    () => em.nativeUpdate(User, { id: [101, 102] }, { visits: 1 }),
    ['user:101', 'user:102'],
  ],
  [
    'nativeUpdate() by another column',
    () => em.nativeUpdate(User, { name: 'one' }, { visits: 1 }),
    ['user:*'],
  ],
  [
    'nativeUpdate() of the key',
    () => em.nativeUpdate(Member, { teamId: 7, userId: 101 }, { teamId: 9 }),
    ['member:7:101', 'member:9:101'],
  ],
  [
    'nativeDelete() by the key',
    () => em.nativeDelete(Member, { teamId: 7, userId: 101 }),
    ['member:7:101'],
  ],
  [
    'nativeDelete() by another column',
    () => em.nativeDelete(Member, { role: 'x' }),
    ['member:*'],
  ],
  // Query builders.
  [
    'an insert by a query builder',
    () => em.createQueryBuilder(User).insert({ name: 'n' }).execute(),
    ['User:1'],
  ],
  [
    'an update by a query builder, by id',
    () =>
      em
        .createQueryBuilder(User)
        .update({ visits: raw('visits + 1') })
        .where({ id: 101 })
        .execute(),
    ['User:101'],
  ],
  [
    'an update by a query builder, by a condition',
    () =>
      em
        .createQueryBuilder(User)
        .update({ visits: 1 })
        .where({ visits: { $lt: 5 } })
        .execute(),
    ['user:*'],
  ],
  [
    'an update by a query builder with a join',
    () =>
      em
        .createQueryBuilder(Post)
        .update({ title: 'n' })
        .where({ user: { name: 'one' } })
        .execute(),
    ['post:*'],
  ],
  [
    'a delete by a query builder, by the key',
    () =>
      em
        .createQueryBuilder(Member)
        .delete({ teamId: 7, userId: 101 })
        .execute(),
    ['member:7:101'],
  ],
  [
    'truncate() by a query builder',
    () => em.createQueryBuilder(Member).truncate().execute(),
    ['member:*'],
  ],
  [
    'Knex',
    () => em.getKnex()('members').where({ team_id: 7, user_id: 101 }).delete(),
    ['member:7:101'],
  ],
  [
    'a transaction of Knex',
    () =>
      em
        .getKnex()
        .transaction((trx) =>
          trx('members').where({ team_id: 7, user_id: 101 }).delete(),
        ),
    ['member:7:101'],
  ],
  // SQL.
  [
    'SQL with the key',
    () => em.execute('update users set visits = ? where id = ?', [1, 101]),
    ['User:101'],
  ],
  [
    'SQL without the key',
    () => em.getConnection().execute('update users set visits = 1'),
    ['user:*'],
  ],
  ['SQL that reads', () => em.findOneOrFail(User, 101), []],
  [
    'SQL of a function',
    async () => {
      await server().sql(
        "create or replace function touch() returns void language sql as 'update users set visits = 1'",
      );
      await em.execute('select touch()');
    },
    [],
  ],
];

describe('MikroORM', () => {
  it.each(WRITES)('%s', async (_, write, expected) => {
    await write();
    expect(app.said()).toEqual(expected);
  });

  it('announces a transaction after its commit, and nothing after a rollback', async () => {
    await em.transactional(async (tx) => {
      await tx.nativeUpdate(User, 101, { visits: 1 });
      const user = await tx.findOneOrFail(User, 102, {
        lockMode: LockMode.PESSIMISTIC_WRITE,
      });
      user.visits = 2;
      await tx.transactional((nested) =>
        nested.nativeUpdate(User, 103, { visits: 1 }),
      );
      expect(app.said()).toEqual([]);
    });
    expect(app.said()).toEqual(['user:101', 'user:102', 'user:103']);
    const failed = em.transactional(async (tx) => {
      await tx.nativeUpdate(User, 101, { visits: 3 });
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    expect(app.said()).toEqual([]);
  });

  it('keeps what a nested transaction has rolled back', async () => {
    await em.transactional(async (tx) => {
      await tx.nativeUpdate(User, 101, { visits: 1 });
      await tx
        .transactional(async (nested) => {
          await nested.nativeUpdate(User, 102, { visits: 1 });
          throw new Error('rolled back');
        })
        .catch(() => null);
    });
    expect(app.said()).toEqual(['user:101', 'user:102']);
  });

  it('announces what begin() and commit() enclose', async () => {
    await em.begin();
    await em.nativeUpdate(User, 101, { visits: 1 });
    expect(app.said()).toEqual([]);
    await em.commit();
    expect(app.said()).toEqual(['User:101']);
    await em.begin();
    await em.nativeUpdate(User, 101, { visits: 2 });
    await em.rollback();
    expect(app.said()).toEqual([]);
  });

  it('announces what subscribers write in a flush', async () => {
    await capture([
      {
        async afterFlush({ em: inner, uow }: FlushEventArgs) {
          if (uow.getChangeSets().length === 0) return;
          await inner.nativeDelete(Member, { teamId: 7, userId: 101 });
        },
      },
    ]);
    const user = await em.findOneOrFail(User, 101);
    user.name = 'n';
    await em.flush();
    expect(app.said()).toEqual(['User:101', 'member:7:101']);
  });

  it('goes on after a connection anew, and by its entity manager', async () => {
    await orm.close();
    await orm.connect();
    await em.nativeUpdate(User, 101, { visits: 1 });
    expect(app.said()).toEqual(['User:101']);
    const other = await openOrm();
    onTestFinished(() => other.close());
    const tables = { 'public.members': 'member' };
    captureMikroOrm(other.em, { publisher: app.publisher, tables });
    await other.em.fork().nativeDelete(Member, { teamId: 7 });
    expect(app.said()).toEqual(['member:*']);
  });

  it('is refused in another version', () => {
    const other = { getConnection: () => ({}) };
    const tables = { 'public.users': 'User' };
    expect(() =>
      captureMikroOrm(other, { publisher: app.publisher, tables }),
    ).toThrow('Give MikroORM 6');
  });
});
