import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startHolder, uniqueName, useServer } from './setup.js';

const server = useServer();

describe('a server that crashes', () => {
  it('may have lost commits that others saw: the types are invalidated', async () => {
    const table = uniqueName();
    await server().sql(`create table ${table} (id int primary key)`);
    const app = await startHolder({
      connection: server().url,
      tables: { [`public.${table}`]: 'User' },
    });
    await server().sql(`insert into ${table} values (1)`);
    expect(await app.next()).toEqual(['User:1']);
    await server().kill();
    await eventually(() => expect(app.source.status().state).toBe('away'));
    await server().start();
    await server().sql(`insert into ${table} values (2)`);
    await eventually(() => expect(app.said.at(-1)).toBe('User:2'));
    // Its position may have gone back: then the first commit is sent again.
    expect(app.said.slice(2).filter((each) => each !== 'User:1')).toEqual([
      'user:*',
      'User:2',
    ]);
    expect(app.source.status()).toMatchObject({
      state: 'holder',
      fault: null,
      widened: { 'first-start': 1, restart: 1 },
    });
  });

  it('counts as started anew when one of its processes crashes', async () => {
    const table = uniqueName();
    await server().sql(`create table ${table} (id int primary key)`);
    const app = await startHolder({
      connection: server().url,
      tables: { [`public.${table}`]: 'User' },
    });
    const [{ pid } = {}] = await server().sql(
      `select pid from pg_stat_activity where backend_type = 'walwriter'`,
    );
    process.kill(pid as number, 'SIGKILL');
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status().widened).toEqual({
      'first-start': 1,
      restart: 1,
    });
  });

  it('has another timeline once it was restored', async () => {
    const table = uniqueName();
    await server().sql(`create table ${table} (id int primary key)`);
    const app = await startHolder({
      connection: server().url,
      tables: { [`public.${table}`]: 'User' },
    });
    await server().restore();
    expect(await app.next()).toEqual(['user:*']);
    expect(app.source.status().widened).toEqual({
      'first-start': 1,
      timeline: 1,
    });
    await server().sql(`insert into ${table} values (2)`);
    expect(await app.next()).toEqual(['User:2']);
  });
});
