import {
  DataSource,
  EntitySchema,
  type EntityManager,
  type QueryRunner,
} from 'typeorm';
import {
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { captureTypeOrm } from 'nestjs-cache-invalidation/postgres';
import { useServer } from '../setup.js';
import { startCaptureApp, type CaptureApp } from './setup.js';

const server = useServer();

interface User {
  id: number;
  name: string;
  visits: number;
  profile?: Profile | null;
  groups?: Group[];
}

interface Profile {
  id: number;
  text: string;
}

interface Group {
  id: number;
  label: string;
}

interface Member {
  teamId: number;
  userId: number;
  role: string;
}

interface Category {
  id: number;
  title: string;
  parent?: Category | null;
  children?: Category[];
}

const ProfileSchema = new EntitySchema<Profile>({
  name: 'profiles',
  columns: {
    id: { type: Number, primary: true, generated: true },
    text: { type: String },
  },
});

const GroupSchema = new EntitySchema<Group>({
  name: 'groups',
  columns: {
    id: { type: Number, primary: true },
    label: { type: String },
  },
});

const UserSchema = new EntitySchema<User>({
  name: 'users',
  columns: {
    id: { type: Number, primary: true, generated: true },
    name: { type: String, unique: true },
    visits: { type: Number, default: 0 },
    changedAt: { type: 'timestamptz', updateDate: true },
    deletedAt: { type: 'timestamptz', deleteDate: true, nullable: true },
  } as never,
  relations: {
    profile: {
      type: 'one-to-one',
      target: 'profiles',
      joinColumn: true,
      cascade: true,
      eager: true,
      nullable: true,
    },
    groups: {
      type: 'many-to-many',
      target: 'groups',
      joinTable: {
        name: 'user_groups',
        joinColumn: { name: 'user_id' },
        inverseJoinColumn: { name: 'group_id' },
      },
      cascade: true,
    },
  },
});

const MemberSchema = new EntitySchema<Member>({
  name: 'members',
  columns: {
    teamId: { name: 'team_id', type: Number, primary: true },
    userId: { name: 'user_id', type: Number, primary: true },
    role: { type: String },
  },
});

const CategorySchema = new EntitySchema<Category>({
  name: 'categories',
  trees: [{ type: 'closure-table' }],
  columns: {
    id: { type: Number, primary: true },
    title: { type: String },
  },
  relations: {
    parent: { type: 'many-to-one', target: 'categories', treeParent: true },
    children: {
      type: 'one-to-many',
      target: 'categories',
      treeChildren: true,
      inverseSide: 'parent',
    },
  },
});

let app: CaptureApp;
let source: DataSource;
let manager: EntityManager;

function openSource(): DataSource {
  return new DataSource({
    type: 'postgres',
    url: server().url,
    entities: [
      UserSchema,
      ProfileSchema,
      GroupSchema,
      MemberSchema,
      CategorySchema,
    ],
  });
}

beforeAll(async () => {
  const plain = await openSource().initialize();
  await plain.synchronize();
  await plain.destroy();
});

beforeEach(async () => {
  app = await startCaptureApp();
  source = openSource();
  captureTypeOrm(source, {
    publisher: app.publisher,
    tables: {
      'public.users': 'User',
      'public.profiles': 'profile',
      'public.members': 'member',
      'public.user_groups': 'user_group',
      'public.categories': 'category',
      'public.categories_closure': 'tree',
    },
  });
  await source.initialize();
  onTestFinished(() => source.destroy());
  ({ manager } = source);
  await server().sql(`
    truncate users, profiles, groups, members, categories restart identity cascade;
    insert into profiles (id, text) values (51, 'p');
    insert into users (id, name, "profileId") values (101, 'one', 51), (102, 'two', null), (103, 'three', null);
    insert into groups values (1, 'g'), (2, 'h');
    insert into user_groups values (101, 1);
    insert into members values (7, 101, 'x'), (8, 101, 'y');
    insert into categories values (1, 'root'), (2, 'leaf');
    insert into categories_closure values (1, 1), (2, 2);`);
  app.said();
});

/** A write, and what is announced. */
type Write = [string, () => Promise<unknown>, readonly string[]];

const users = () => manager.getRepository(UserSchema);
const members = () => manager.getRepository(MemberSchema);

const WRITES: Write[] = [
  // Repositories and entity managers.
  ['save() of a new entity', () => users().save({ name: 'n' }), ['User:1']],
  [
    'save() of a loaded entity',
    async () => {
      const user = await users().findOneByOrFail({ id: 101 });
      await users().save({ ...user, name: 'n' });
    },
    ['User:101'],
  ],
  [
    'save() of a part of an entity',
    () => users().save({ id: 102, name: 'n' }),
    ['User:102'],
  ],
  [
    'save() of nothing changed',
    () => users().save({ id: 101, name: 'one' }),
    [],
  ],
  [
    'save() of several entities',
    () => users().save([{ name: 'n' }, { name: 'm' }]),
    ['user:1', 'user:2'],
  ],
  [
    'save() with a cascade',
    () => users().save({ name: 'n', profile: { text: 't' } as Profile }),
    ['profile:1', 'user:1'],
  ],
  [
    'save() of an eager relation',
    async () => {
      const user = await users().findOneByOrFail({ id: 101 });
      user.profile!.text = 't';
      await users().save(user);
    },
    ['profile:51'],
  ],
  [
    'save() of a many-to-many relation',
    () => users().save({ id: 101, groups: [{ id: 2, label: 'h' }] }),
    ['user_group:101:1', 'user_group:101:2'],
  ],
  [
    'save() of a composite key',
    () => members().save({ teamId: 9, userId: 101, role: 'z' }),
    ['member:9:101'],
  ],
  [
    'save() of a tree',
    () =>
      source
        .getTreeRepository(CategorySchema)
        .save({ id: 3, title: 'x', parent: { id: 1, title: 'root' } }),
    ['category:3', 'tree:*'],
  ],
  [
    'remove()',
    async () => {
      await users().remove(await users().findOneByOrFail({ id: 102 }));
    },
    ['User:102', 'user_group:*'],
  ],
  [
    'remove() of several composite keys',
    async () => {
      await members().remove(await members().find());
    },
    ['member:7:101', 'member:8:101'],
  ],
  [
    'softRemove() and recover()',
    async () => {
      const user = await users().findOneByOrFail({ id: 102 });
      await users().softRemove(user);
      await users().recover(user);
    },
    ['User:102', 'User:102'],
  ],
  [
    'insert()',
    () => users().insert([{ name: 'n' }, { name: 'm' }]),
    ['user:1', 'user:2'],
  ],
  ['update() by id', () => users().update(101, { name: 'n' }), ['User:101']],
  [
    'update() by ids',
    () => users().update([101, 102], { visits: 1 }),
    ['user:101', 'user:102'],
  ],
  [
    'update() by the key',
    () => members().update({ teamId: 7, userId: 101 }, { role: 'n' }),
    ['member:7:101'],
  ],
  [
    'update() of the key',
    () => users().update({ id: 103 }, { id: 203 }),
    ['user:103', 'user:203', 'user_group:*'],
  ],
  [
    'update() by another column',
    () => users().update({ name: 'one' }, { visits: 1 }),
    ['user:*'],
  ],
  [
    'updateAll()',
    () => manager.updateAll(UserSchema, { visits: 1 }),
    ['user:*'],
  ],
  [
    'upsert() by the key',
    () =>
      members().upsert({ teamId: 7, userId: 101, role: 'n' }, [
        'teamId',
        'userId',
      ]),
    ['member:7:101'],
  ],
  [
    'upsert() by another column',
    () => users().upsert([{ name: 'one', visits: 1 }], ['name']),
    ['User:101'],
  ],
  ['delete() by id', () => users().delete(102), ['User:102', 'user_group:*']],
  [
    'delete() by another column',
    () => users().delete({ name: 'two' }),
    ['user:*', 'user_group:*'],
  ],
  [
    'softDelete() and restore()',
    async () => {
      await users().softDelete(102);
      await users().restore(102);
    },
    ['User:102', 'User:102'],
  ],
  [
    'increment() by id',
    () => users().increment({ id: 101 }, 'visits', 1),
    ['User:101'],
  ],
  [
    'decrement() by another column',
    () => users().decrement({ name: 'one' }, 'visits', 1),
    ['user:*'],
  ],
  ['clear()', () => members().clear(), ['member:*']],
  // Query builders.
  [
    'an insert by a query builder',
    () =>
      source
        .createQueryBuilder()
        .insert()
        .into(UserSchema)
        .values({ name: 'n' })
        .execute(),
    ['User:1'],
  ],
  [
    'an insert of a select',
    () => manager.query("insert into members select 3, id, 'z' from users"),
    ['member:*'],
  ],
  [
    'an update by a query builder, by id',
    () =>
      source
        .createQueryBuilder()
        .update(UserSchema)
        .set({ name: 'n' })
        .where('id = :id', { id: 101 })
        .execute(),
    ['User:101'],
  ],
  [
    'an update by a query builder, by a condition',
    () =>
      source
        .createQueryBuilder()
        .update(UserSchema)
        .set({ visits: () => 'visits + 1' })
        .where('visits < 5')
        .execute(),
    ['user:*'],
  ],
  [
    'an update by a query builder that returns the key',
    () =>
      source
        .createQueryBuilder()
        .update(UserSchema)
        .set({ visits: 3 })
        .where('visits < 5')
        .returning(['id'])
        .execute(),
    ['user:101', 'user:102', 'user:103'],
  ],
  [
    'a delete by a query builder, by ids',
    () =>
      source
        .createQueryBuilder()
        .delete()
        .from(MemberSchema)
        .whereInIds([{ teamId: 7, userId: 101 }])
        .execute(),
    ['member:7:101'],
  ],
  [
    'a soft delete by a query builder',
    () =>
      source
        .createQueryBuilder()
        .softDelete()
        .from(UserSchema)
        .where({ id: 102 })
        .execute(),
    ['User:102'],
  ],
  [
    'a relation by a query builder',
    () =>
      source
        .createQueryBuilder()
        .relation(UserSchema, 'groups')
        .of(102)
        .add([1, 2]),
    ['user_group:102:1', 'user_group:102:2'],
  ],
  [
    'a relation that is removed by a query builder',
    () =>
      source
        .createQueryBuilder()
        .relation(UserSchema, 'groups')
        .of(101)
        .remove(1),
    ['user_group:101:1'],
  ],
  [
    'a relation that is set by a query builder',
    () =>
      source
        .createQueryBuilder()
        .relation(UserSchema, 'profile')
        .of(101)
        .set(null),
    ['User:101'],
  ],
  // SQL.
  [
    'SQL with the key',
    () => manager.query('update users set visits = $1 where id = $2', [1, 101]),
    ['User:101'],
  ],
  [
    'SQL without the key',
    () => manager.query('UPDATE "users" SET visits = 1'),
    ['user:*'],
  ],
  ['SQL that reads', () => manager.query('select * from users for update'), []],
  [
    'SQL of a function',
    async () => {
      await server().sql(
        "create or replace function touch() returns void language sql as 'update users set visits = 1'",
      );
      await manager.query('select touch()');
    },
    [],
  ],
];

describe('TypeORM', () => {
  it.each(WRITES)('%s', async (_, write, expected) => {
    await write();
    expect(app.said()).toEqual(expected);
  });

  it('announces nothing of what a trigger writes', async () => {
    await server().sql(`
      create function follow() returns trigger language plpgsql as 'begin update members set role = new.name; return null; end';
      create trigger follow after update on users for each row execute function follow()`);
    await users().update(101, { name: 'n' });
    await server().sql('drop function follow() cascade');
    expect(app.said()).toEqual(['User:101']);
  });

  it('announces a transaction after its commit, and nothing after a rollback', async () => {
    await source.transaction(async (tx) => {
      await tx.update(UserSchema, 101, { name: 'n' });
      await tx.transaction((nested) =>
        nested.save(UserSchema, { id: 102, name: 'm' }),
      );
      expect(app.said()).toEqual([]);
    });
    expect(app.said()).toEqual(['user:101', 'user:102']);
    const failed = source.transaction(async (tx) => {
      await tx.update(UserSchema, 101, { name: 'x' });
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    expect(app.said()).toEqual([]);
  });

  it('keeps what a nested transaction has rolled back', async () => {
    await source.transaction(async (tx) => {
      await tx.update(UserSchema, 101, { name: 'n' });
      await tx
        .transaction(async (nested) => {
          await nested.update(UserSchema, 102, { name: 'm' });
          throw new Error('rolled back');
        })
        .catch(() => null);
    });
    expect(app.said()).toEqual(['user:101', 'user:102']);
  });

  it('announces what a query runner commits', async () => {
    const runner: QueryRunner = source.createQueryRunner();
    await runner.startTransaction('SERIALIZABLE');
    await runner.manager.update(UserSchema, 101, { name: 'n' });
    expect(app.said()).toEqual([]);
    await runner.commitTransaction();
    expect(app.said()).toEqual(['User:101']);
    const client = await runner.connect();
    await client.query(
      'delete from members where team_id = 7 and user_id = 101',
    );
    await runner.release();
    expect(app.said()).toEqual(['member:7:101']);
  });

  it('announces what subscribers and listeners write', async () => {
    source.subscribers.push({
      afterUpdate: async ({ manager: tx, metadata }) => {
        if (metadata.name !== 'users') return;
        await tx.update(
          MemberSchema,
          { teamId: 7, userId: 101 },
          { role: 'n' },
        );
      },
    });
    await users().save({ id: 101, name: 'n' });
    expect(app.said()).toEqual(['member:7:101', 'user:101']);
  });
});

it('captureTypeOrm() refuses another database', () => {
  const other = { options: { type: 'mysql' }, driver: {} };
  const tables = { 'public.users': 'User' };
  expect(() =>
    captureTypeOrm(other, { publisher: app.publisher, tables }),
  ).toThrow('Give a DataSource of TypeORM with the type "postgres".');
});
