import { expect, it } from 'vitest';
import { readBacklog } from '../../lib/postgres/triggers/outbox-backlog.js';
import { useServer } from './setup.js';
import { triggerTable } from './triggers.js';

const server = useServer();

it('tells whether what a snapshot sees is announced, also of transactions that commit late', async () => {
  const { outbox, sql, table } = await triggerTable(server());
  const client = await server().connect();
  const read = (snapshot: string | null) =>
    readBacklog(client, outbox, snapshot);
  const first = await read(null);
  expect(first).toMatchObject({ waiting: 0, age: 0, isDrained: false });
  expect((await read(first.snapshot)).isDrained).toBe(true);

  const late = await server().connect();
  await late.query(`begin; insert into ${table} values (1)`);
  await sql('insert into TABLE values (2)');
  const second = await read(first.snapshot);
  expect(second).toMatchObject({ waiting: 1, isDrained: true });
  expect(second.age).toBeGreaterThan(0);
  await late.query('commit');

  expect(await read(second.snapshot)).toMatchObject({
    waiting: 2,
    isDrained: false,
  });
  // The late one was not there yet.
  await sql(`delete from OUTBOX where content like '%2%'`);
  const third = await read(second.snapshot);
  expect(third).toMatchObject({ waiting: 1, isDrained: true });
  expect((await read(third.snapshot)).isDrained).toBe(false);
});
