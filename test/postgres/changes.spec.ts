import { describe, expect, it } from 'vitest';
import { startHolder, uniqueName, useServer } from './setup.js';

const server = useServer();

/** A table of its own, and a holder that maps it to User. */
async function users(columns = 'id int primary key, name text') {
  const table = uniqueName();
  await server().sql(`create table ${table} (${columns})`);
  const app = await startHolder({
    connection: server().url,
    tables: { [`public.${table}`]: 'User' },
  });
  return { table, app, sql: (text: string) => server().sql(text) };
}

describe('changes of a mapped table', () => {
  it('are announced, whoever writes them', async () => {
    const { table, app, sql } = await users();
    expect(app.said).toEqual(['user:*']);
    await sql(`insert into ${table} values (1, 'a')`);
    expect(await app.next()).toEqual(['User:1']);
    await sql(`update ${table} set name = 'b'`);
    expect(await app.next()).toEqual(['User:1']);
    await sql(`update ${table} set id = 2`);
    expect(await app.next()).toEqual(['user:1,user:2']);
    await sql(`delete from ${table}`);
    expect(await app.next()).toEqual(['User:2']);
    await sql(`truncate ${table}`);
    expect(await app.next()).toEqual(['user:*']);
  });
});
