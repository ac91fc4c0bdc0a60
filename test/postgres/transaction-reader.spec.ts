import { describe, expect, it } from 'vitest';
import {
  batch,
  entity,
  everything,
  pattern,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import type {
  MappedTable,
  RowMapper,
  TableMappings,
} from 'nestjs-cache-invalidation/postgres';
import { decodePgoutput } from '../../lib/postgres/wal/decode-pgoutput.js';
import { MalformedWalError } from '../../lib/postgres/wal/malformed-wal.error.js';
import { TransactionReader } from '../../lib/postgres/wal/transaction-reader.js';
import * as pgoutput from './pgoutput.js';

const INT = 23;
const ID = { name: 'id', type: INT, isIdentity: true };
const USER = { name: 'user_id', type: INT };
const TEAM = { name: 'team_id', type: INT };

const memberships: RowMapper = ({ user_id, team_id }) => [
  entity('User', user_id as number),
  pattern(`team:${team_id as number}:*`),
];

interface ReaderOptions {
  readonly bulk?: number;
  /** Primary keys by table. */
  readonly keys?: Record<string, readonly string[]>;
}

/** A reader of tables, and the invalidations of each transaction that it reads. */
function readerOf(
  tables: TableMappings,
  { bulk = 100, keys = {} }: ReaderOptions = {},
) {
  const commits: Invalidation[][] = [];
  const widened: string[] = [];
  const failed: string[] = [];
  let described = 0;
  const reader = new TransactionReader(
    tables,
    bulk,
    () => ({
      keyOf: (table) => keys[table] ?? ['id'],
      isLogged: () => true,
    }),
    {
      onWidened: (cause, table) => widened.push(`${cause} ${table}`),
      onMapperFailed: (table, problem) => failed.push(`${table} ${problem}`),
      onDescribed: () => described++,
      onCommit: ({ changes }) => commits.push(changes.invalidations()),
    },
  );
  const read = (...messages: Buffer[]) => {
    for (const message of messages) reader.read(decodePgoutput(message));
  };
  /** @returns what a transaction of these messages invalidates */
  const transaction = (...messages: Buffer[]) => {
    read(pgoutput.begin(7), ...messages, pgoutput.commit(9n));
    return commits.at(-1);
  };
  return {
    reader,
    read,
    transaction,
    widened,
    failed,
    described: () => described,
  };
}

describe('TransactionReader with an entity type', () => {
  const users = pgoutput.relation(1, 'public.users', [ID, { name: 'name' }]);

  it('names the primary key of each row', () => {
    const { transaction } = readerOf({ 'public.users': 'User' });
    expect(transaction(users, pgoutput.insert(1, ['1', 'a']))).toEqual([
      entity('User', '1'),
    ]);
    expect(transaction(pgoutput.update(1, ['1', 'b']))).toEqual([
      entity('User', '1'),
    ]);
    expect(transaction(pgoutput.remove(1, ['2', null]))).toEqual([
      entity('User', '2'),
    ]);
    expect(transaction(pgoutput.update(1, ['4', 'b'], ['3', null]))).toEqual([
      batch(['user:3', 'user:4']),
    ]);
  });

  it('ignores tables that are not mapped', () => {
    const { transaction } = readerOf({ 'public.users': 'User' });
    const other = pgoutput.relation(2, 'public.other', [ID]);
    expect(
      transaction(other, pgoutput.insert(2, ['1']), pgoutput.truncate(2)),
    ).toEqual([]);
  });

  it('joins a composite key in the order of the key, not of the columns', () => {
    const columns = [
      { ...USER, isIdentity: true },
      { ...TEAM, isIdentity: true },
    ];
    const { transaction } = readerOf(
      { 'public.memberships': 'membership' },
      { keys: { 'public.memberships': ['team_id', 'user_id'] } },
    );
    const table = pgoutput.relation(1, 'public.memberships', columns);
    expect(transaction(table, pgoutput.insert(1, ['1', '2']))).toEqual([
      entity('membership', '2:1'),
    ]);
  });

  it('is widened where the identity does not have the key', () => {
    const { transaction, widened } = readerOf({ 'public.users': 'User' });
    const table = pgoutput.relation(
      1,
      'public.users',
      [
        { ...ID, isIdentity: false },
        { name: 'name', isIdentity: true },
      ],
      'i',
    );
    expect(transaction(table, pgoutput.insert(1, ['1', 'a']))).toEqual([
      entity('User', '1'),
    ]);
    expect(transaction(pgoutput.update(1, ['1', 'a']))).toEqual([
      pattern('user:*'),
    ]);
    expect(transaction(pgoutput.remove(1, [null, 'a']))).toEqual([
      pattern('user:*'),
    ]);
    expect(widened).toEqual(['columns public.users', 'columns public.users']);
  });

  it('is widened without a primary key, and for an empty id', () => {
    const { transaction } = readerOf(
      { 'public.users': 'User' },
      { keys: { 'public.users': [] } },
    );
    expect(transaction(users, pgoutput.insert(1, ['1', 'a']))).toEqual([
      pattern('user:*'),
    ]);
    const other = readerOf({ 'public.users': 'User' });
    expect(other.transaction(users, pgoutput.insert(1, ['', 'a']))).toEqual([
      pattern('user:*'),
    ]);
  });

  it('is widened by TRUNCATE, and by more keys than the bulk', () => {
    const { transaction, widened } = readerOf(
      { 'public.users': 'User' },
      { bulk: 2 },
    );
    const row = (id: number) => pgoutput.insert(1, [`${id}`, '']);
    expect(transaction(users, row(1), row(2), row(2))).toEqual([
      batch(['user:1', 'user:2']),
    ]);
    expect(transaction(row(1), row(2), row(3), row(4))).toEqual([
      pattern('user:*'),
    ]);
    expect(transaction(pgoutput.truncate(1))).toEqual([pattern('user:*')]);
    expect(widened).toEqual(['bulk null', 'truncate public.users']);
  });

  it('is widened when the definition changes, not when it is told again', () => {
    const { transaction, described, widened } = readerOf({
      'public.users': 'User',
    });
    transaction(users, pgoutput.insert(1, ['1', 'a']));
    expect(described()).toBe(0);
    expect(transaction(users, pgoutput.insert(1, ['1', 'a']))).toEqual([
      entity('User', '1'),
    ]);
    expect(described()).toBe(1);
    const changed = pgoutput.relation(1, 'public.users', [
      ID,
      { name: 'title' },
    ]);
    expect(transaction(changed, pgoutput.insert(1, ['1', 'a']))).toEqual([
      pattern('user:*'),
    ]);
    const recreated = pgoutput.relation(8, 'public.users', [
      ID,
      { name: 'title' },
    ]);
    expect(transaction(recreated, pgoutput.insert(8, ['1', 'a']))).toEqual([
      pattern('user:*'),
    ]);
    expect(widened).toEqual([
      'definition public.users',
      'definition public.users',
    ]);
  });

  it('refuses rows of an unknown table, and changes outside of a transaction', () => {
    const { read, transaction } = readerOf({ 'public.users': 'User' });
    expect(() => transaction(pgoutput.insert(1, ['1']))).toThrow(
      MalformedWalError,
    );
    const other = readerOf({ 'public.users': 'User' });
    expect(() => other.read(users, pgoutput.insert(1, ['1', 'a']))).toThrow(
      MalformedWalError,
    );
    expect(() => other.read(pgoutput.commit(1n))).toThrow(MalformedWalError);
    expect(() => read(pgoutput.truncate(3))).toThrow(MalformedWalError);
  });
});

describe('TransactionReader with a mapper', () => {
  const mapped: MappedTable = { map: memberships, types: ['User', 'team'] };
  const columns = [ID, USER, TEAM];
  const table = pgoutput.relation(1, 'public.memberships', columns);
  const whole = pgoutput.relation(
    1,
    'public.memberships',
    columns.map((column) => ({ ...column, isIdentity: true })),
    'f',
  );
  const types = [pattern('user:*'), pattern('team:*')];

  it('maps the values as node-postgres reads them', () => {
    const rows: unknown[] = [];
    const map: RowMapper = ({ id, name, ...rest }) =>
      void rows.push({ id, name, ...rest });
    const { transaction } = readerOf({ 'public.users': map });
    const users = pgoutput.relation(1, 'public.users', [
      ID,
      { name: 'name' },
      { name: 'admin', type: 16 },
    ]);
    expect(transaction(users, pgoutput.insert(1, ['1', null, 't']))).toEqual(
      [],
    );
    expect(rows).toEqual([{ id: 1, name: null, admin: true }]);
  });

  it('maps the old and the new row where the replica identity has both', () => {
    const { transaction } = readerOf({ 'public.memberships': mapped });
    expect(
      transaction(
        whole,
        pgoutput.update(1, ['1', '2', '4'], ['1', '2', '3'], 'O'),
      ),
    ).toEqual([entity('User', 2), pattern('team:3:*'), pattern('team:4:*')]);
    expect(transaction(pgoutput.remove(1, ['1', '2', '3'], 'O'))).toEqual([
      entity('User', 2),
      pattern('team:3:*'),
    ]);
  });

  it('is widened where a column is read that the replica identity lacks', () => {
    const { transaction, widened } = readerOf({ 'public.memberships': mapped });
    expect(transaction(table, pgoutput.insert(1, ['1', '2', '3']))).toEqual([
      entity('User', 2),
      pattern('team:3:*'),
    ]);
    expect(transaction(pgoutput.update(1, ['1', '2', '4']))).toEqual(types);
    expect(
      transaction(pgoutput.update(1, ['2', '2', '4'], ['1', null, null])),
    ).toEqual(types);
    expect(transaction(pgoutput.remove(1, ['1', null, null]))).toEqual(types);
    expect(widened).toHaveLength(3);
  });

  it('reads an unchanged large value from the old row, or is widened', () => {
    const { transaction } = readerOf({ 'public.memberships': mapped });
    expect(
      transaction(
        whole,
        pgoutput.update(1, ['1', '2', undefined], ['1', '2', '3'], 'O'),
      ),
    ).toEqual([entity('User', 2), pattern('team:3:*')]);
    expect(
      transaction(
        pgoutput.update(1, ['1', undefined, null], ['1', '2', '3'], 'O'),
      ),
    ).toEqual([entity('User', 2), pattern('team:3:*'), pattern('team:null:*')]);
    expect(
      transaction(table, pgoutput.update(1, ['1', '2', undefined])),
    ).toEqual(types);
  });

  it.each([
    [
      'throws',
      () => {
        throw new TypeError('of secret');
      },
      'TypeError',
    ],
    ['returns a promise', async () => entity('User', 1), 'InvalidMessageError'],
    ['returns text', () => 'user:1', 'InvalidMessageError'],
    [
      'changes the row',
      (row: Record<string, unknown>) => {
        row['id'] = 2;
      },
      'TypeError',
    ],
  ])('is widened, and says so, if the mapper %s', (_, map, problem) => {
    const { transaction, failed, widened } = readerOf({
      'public.memberships': { map: map as RowMapper, types: ['User'] },
    });
    expect(transaction(table, pgoutput.insert(1, ['1', '2', '3']))).toEqual([
      pattern('user:*'),
    ]);
    expect(failed).toEqual([`public.memberships ${problem}`]);
    expect(widened).toEqual(['mapper public.memberships']);
  });

  it('is widened for a column that there is not, even if the mapper throws for it', () => {
    const map: RowMapper = ({ title }) =>
      entity('User', (title as string).length);
    const { transaction, failed, widened } = readerOf({
      'public.memberships': { map, types: ['User'] },
    });
    expect(transaction(table, pgoutput.insert(1, ['1', '2', '3']))).toEqual([
      pattern('user:*'),
    ]);
    expect(failed).toEqual([]);
    expect(widened).toEqual(['columns public.memberships']);
  });

  it('becomes everything where its types are not named', () => {
    const { transaction } = readerOf({ 'public.memberships': memberships });
    expect(transaction(table, pgoutput.truncate(1))).toEqual([everything()]);
    expect(transaction(pgoutput.remove(1, ['1', null, null]))).toEqual([
      everything(),
    ]);
  });
});

describe('TransactionReader with a mark', () => {
  const users = (more: readonly pgoutput.Column[] = []) =>
    pgoutput.relation(1, 'public.users', [ID, ...more]);
  const mark = pgoutput.logicalMessage('cache_invalidation.announced', '');
  const announced = pgoutput.logicalMessage(
    'cache_invalidation',
    JSON.stringify([entity('Post', 1)]),
  );

  it('leaves out rows, but neither announcements nor a changed definition', () => {
    const { transaction } = readerOf({ 'public.users': 'User' });
    expect(
      transaction(users(), pgoutput.insert(1, ['1']), mark, announced),
    ).toEqual([entity('Post', 1)]);
    expect(
      transaction(mark, users([TEAM]), pgoutput.insert(1, ['1', '2'])),
    ).toEqual([pattern('user:*')]);
    expect(transaction(users([TEAM]), pgoutput.truncate(1))).toEqual([
      pattern('user:*'),
    ]);
  });
});
