import { entity } from 'nestjs-cache-invalidation';
import type { TableMapping } from 'nestjs-cache-invalidation/postgres';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';
import { useServer } from './setup.js';
import { startDrain, triggerTable, untilDraining } from './triggers.js';

const server = useServer();

const MAPPER: TableMapping = {
  map: ({ id }) => entity('User', String(id)),
  types: ['User'],
};

describe('an outbox', () => {
  it('that hides its rows is a fault, and they are announced when it does not', async () => {
    const { table, outbox, options, sql } = await triggerTable(server());
    const role = `${table}_app`;
    await sql(`create role ${role} login;
      grant select, insert, delete on ${outbox} to ${role}`);
    onTestFinished(async () => {
      await sql(`drop owned by ${role}; drop role ${role}`);
    });
    const url = new URL(server().url);
    url.username = role;
    const app = await startDrain({ ...options, connection: url.href });
    await sql('alter table OUTBOX enable row level security');
    await sql('insert into TABLE values (1)');
    await eventually(() =>
      expect(app.source.status().fault?.message).toContain('Row security'),
    );
    await sql('alter table OUTBOX disable row level security');
    expect(await app.next()).toEqual(['User:1']);
    await untilDraining(app);
    await app.close();
  });

  it('that was truncated invalidates the mapped types', async () => {
    const { options, sql } = await triggerTable(server());
    const app = await startDrain(options);
    await sql('begin; insert into TABLE values (1); truncate OUTBOX; commit');
    expect(await app.next()).toEqual(['user:*']);
  });

  it.each<[string, string, TableMapping]>([
    ['keys', '{"a":1}', 'User'],
    ['keys', '[null,1]', 'User'],
    ['rows', '{}', MAPPER],
    ['rows', '{"columns":[1],"rows":[[1]]}', MAPPER],
    ['rows', '{"columns":[["id",23]],"rows":[null]}', MAPPER],
  ])(
    'invalidates the types for forged %s %s',
    async (kind, content, mapping) => {
      const { table, options, sql } = await triggerTable(server(), { mapping });
      const app = await startDrain(options);
      await sql(
        'insert into OUTBOX (mapped, kind, content) values ($1, $2, $3)',
        [`public.${table}`, kind, content],
      );
      expect(await app.next()).toEqual(['user:*']);
    },
  );

  it('is emptied of rows of any age', async () => {
    const { options, sql } = await triggerTable(server());
    const app = await startDrain(options);
    for (const created of ['infinity', '-infinity', '294270-01-01']) {
      await sql(`insert into OUTBOX (mapped, kind, content, created)
        values ('public.TABLE', 'keys', '["1"]', '${created}')`);
      expect(await app.next()).toEqual(['User:1']);
    }
  });
});

describe('keys', () => {
  it('have one text in all time zones', async () => {
    const { options, sql } = await triggerTable(server(), {
      columns: 'id timestamptz primary key, name text',
    });
    const app = await startDrain(options);
    await sql(`set timezone = 'America/New_York';
      insert into TABLE values ('2026-01-01 12:00:00+00')`);
    expect(await app.next()).toEqual(['User:2026-01-01 12:00:00+00']);
  });

  it('that are equal do not hide others beyond bulk', async () => {
    const { options, sql } = await triggerTable(server(), {
      columns: 'id int, primary key (id) deferrable initially deferred',
      bulk: 10,
    });
    const app = await startDrain(options);
    await sql(`begin;
      insert into TABLE select case when n <= 100 then 1 else n end from generate_series(1, 200) n;
      delete from TABLE where id = 1;
      commit`);
    expect((await app.next()).at(-1)).toBe('user:*');
  });
});
