import { describe, expect, it, onTestFinished } from 'vitest';
import { entity } from 'nestjs-cache-invalidation';
import {
  announceInOutbox,
  dropTriggerSql,
  triggerSql,
} from 'nestjs-cache-invalidation/postgres';
import { openPglite } from '../support/pglite.js';
import { startDrain } from './triggers.js';

describe('trigger mode on PGlite', () => {
  it('announces changes', async () => {
    const database = await openPglite();
    onTestFinished(() => database.close());
    await database.exec(
      `create table users (id int primary key, name text);
       create table names (name text, since timestamptz)`,
    );
    const seen: unknown[] = [];
    const tables = {
      'public.users': 'User',
      'public.names': {
        map: ({ name, since }: Record<string, unknown>) => {
          seen.push(since);
          return entity('Name', name as string);
        },
        types: ['Name'],
      },
    };
    await database.exec(triggerSql(tables));
    await database.exec(triggerSql(tables));
    const app = await startDrain(
      { mode: 'triggers', database, tables, poll: 10 },
      {},
      2,
    );
    await database.exec(`insert into users values (1, 'a'), (2, 'b')`);
    expect(await app.next()).toEqual(['user:1,user:2']);
    await database.transaction(async (transaction) => {
      await transaction.query('update users set id = 3 where id = $1', [2]);
      await transaction.query(`insert into names values ('c', '2020-01-01Z')`);
      await announceInOutbox(
        (sql) => transaction.query(sql),
        'public.cache_invalidation_outbox',
        entity('User', `it's ü`),
      );
    });
    expect(await app.next()).toEqual([`user:2,user:3,user:it's ü,Name:c`]);
    expect(seen).toEqual([new Date('2020-01-01Z')]);
    await database.exec(
      'begin; delete from users; rollback; begin; truncate names; delete from users where id = 1; commit',
    );
    expect(await app.next(2)).toEqual(['User:1', 'Name:*']);
    await app.close();
    await database.exec(dropTriggerSql());
    await database.exec('insert into users values (4)');
  });
});
