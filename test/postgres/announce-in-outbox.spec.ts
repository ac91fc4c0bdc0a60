import { entity, pattern } from 'nestjs-cache-invalidation';
import {
  announceInOutbox,
  triggerSql,
  type RunInTransaction,
} from 'nestjs-cache-invalidation/postgres';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { useServer, uniqueName } from './setup.js';
import { startDrain, triggerTable } from './triggers.js';

const server = useServer();

it('announceInOutbox announces with the rows of the transaction, as the role of the applications', async () => {
  const { table, outbox, options } = await triggerTable(server());
  const role = uniqueName();
  await server().sql(`create role ${role} login`);
  await server().sql(`grant insert on ${table} to ${role}`);
  await server().sql(triggerSql(options.tables, { outbox, role }));
  const app = await startDrain(options);

  const client = new pg.Client(server().url.replace('postgres@', `${role}@`));
  await client.connect();
  onTestFinished(() => client.end());
  const run: RunInTransaction = (sql) => client.query(sql);
  const announced = [
    entity('User', `it's ? $1 \\ ü`, { metadata: { who: 'me' } }),
    pattern('team:7:*'),
  ];
  await run('begin');
  await announceInOutbox(run, outbox, entity('User', 9));
  await run('rollback; begin');
  await run(`insert into ${table} values (1)`);
  await announceInOutbox(run, outbox, ...announced);
  await run('commit');
  expect(await app.next(3)).toHaveLength(3);
  expect(app.messages.slice(-3)).toMatchObject([
    entity('User', 1),
    ...announced,
  ]);
});

it('a row of the outbox that cannot be read is everything', async () => {
  const { options, sql } = await triggerTable(server());
  const app = await startDrain(options);
  await sql(
    `insert into OUTBOX (mapped, kind, content) values ('', 'announced', '[{}]')`,
  );
  expect(await app.next()).toEqual(['*']);
  expect(app.source.status().widened).toMatchObject({ message: 1 });
});
