import { Injectable, Module, type DynamicModule } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CacheInvalidationModule,
  InvalidationConfigurationError,
} from 'nestjs-cache-invalidation';
import {
  CacheInvalidationPostgresModule,
  PostgresSource,
  type CacheInvalidationPostgresOptions,
  type CacheInvalidationPostgresOptionsFactory,
} from 'nestjs-cache-invalidation/postgres';
import { CacheInvalidationTestingModule } from 'nestjs-cache-invalidation/testing';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { POSTGRES_SOURCE_OPTIONS } from '../../lib/postgres/postgres.constants.js';
import { LogRecorder } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { uniqueName, useServer } from './setup.js';

const NOWHERE = 'postgres://nobody:secret@127.0.0.1:1/none';
const TABLES = { 'public.users': 'User' };

afterEach(() => vi.unstubAllEnvs());

/** Starts an application on a broker in memory. */
async function start(source: DynamicModule, enabled = true) {
  const module = await Test.createTestingModule({
    imports: [CacheInvalidationTestingModule.register({ enabled }), source],
  })
    .setLogger(new LogRecorder())
    .compile();
  const app = await module.init();
  onTestFinished(() => app.close());
  return {
    app,
    options: app.get(POSTGRES_SOURCE_OPTIONS, { strict: false }),
    source: app.get(PostgresSource, { strict: false }),
  };
}

describe('CacheInvalidationPostgresModule', () => {
  it('has defaults, and takes times as text', async () => {
    const { options } = await start(
      CacheInvalidationPostgresModule.forRoot({
        connection: NOWHERE,
        tables: TABLES,
        heartbeat: '5s',
      }),
    );
    expect(options).toEqual({
      mode: 'wal',
      connection: NOWHERE,
      tables: TABLES,
      outbox: 'public.cache_invalidation_outbox',
      poll: 100,
      wakeUp: false,
      slot: 'cache_invalidation',
      publication: 'cache_invalidation',
      bulk: 1_000,
      heartbeat: 5_000,
      timeout: 10_000,
      visibility: 2_000,
    });
  });

  it('reads connection and slot from the environment', async () => {
    vi.stubEnv('CACHE_INVALIDATION_POSTGRES_URL', NOWHERE);
    vi.stubEnv('CACHE_INVALIDATION_POSTGRES_SLOT', 'mine');
    const first = await start(
      CacheInvalidationPostgresModule.forRoot({ tables: TABLES }),
    );
    expect(first.options).toMatchObject({ connection: NOWHERE, slot: 'mine' });
    const second = await start(
      CacheInvalidationPostgresModule.forRoot({
        tables: TABLES,
        slot: 'other',
      }),
    );
    expect(second.options).toMatchObject({ slot: 'other' });
  });

  it('takes its options from a factory, a class, or an existing provider', async () => {
    const given: CacheInvalidationPostgresOptions = {
      connection: NOWHERE,
      tables: TABLES,
      bulk: 7,
    };
    @Injectable()
    class Options implements CacheInvalidationPostgresOptionsFactory {
      createCacheInvalidationPostgresOptions() {
        return given;
      }
    }
    @Module({ providers: [Options], exports: [Options] })
    class OptionsModule {}
    for (const definition of [
      { useFactory: async () => given },
      { useClass: Options },
      { imports: [OptionsModule], useExisting: Options },
    ]) {
      const { options } = await start(
        CacheInvalidationPostgresModule.forRootAsync(definition),
      );
      expect(options).toMatchObject({ bulk: 7 });
    }
  });

  it('names every bad option at once, and no value of them', async () => {
    const bad = {
      connection: 'mysql://secret',
      tables: { users: 'User' },
      slot: 'My-Slot',
      bulk: 0,
      heartbeat: 'soon',
      cats: true,
    };
    const error = await start(
      CacheInvalidationPostgresModule.forRoot(bad as never),
    ).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    const { problems, message } = error as InvalidationConfigurationError;
    expect(problems.map(({ field }) => field).toSorted()).toEqual([
      'bulk',
      'cats',
      'connection',
      'heartbeat',
      'slot',
      'tables',
    ]);
    expect(message).not.toContain('secret');
    await expect(
      start(
        CacheInvalidationPostgresModule.forRoot({
          connection: new URL(NOWHERE) as never,
          tables: TABLES,
        }),
      ),
    ).rejects.toThrow('connection');
  });

  it('takes a database of the application in trigger mode only', async () => {
    const closed = () => Promise.reject(new Error('closed'));
    const database = { query: closed, transaction: closed };
    const bad = { database, tables: TABLES, outbox: 'no_schema', mode: 'x' };
    const error = await start(
      CacheInvalidationPostgresModule.forRoot(bad as never),
    ).catch((thrown: unknown) => thrown);
    const { problems } = error as InvalidationConfigurationError;
    expect(problems.map(({ field }) => field).toSorted()).toEqual([
      'database',
      'mode',
      'outbox',
    ]);
    const { source } = await start(
      CacheInvalidationPostgresModule.forRoot({
        mode: 'triggers',
        database,
        tables: TABLES,
      }),
    );
    await eventually(() =>
      expect(source.status()).toMatchObject({
        state: 'away',
        fault: { message: expect.stringContaining('cannot be read: closed') },
      }),
    );
  });

  it.each([
    ['none', {}],
    ['a type with a colon', { 'public.users': 'a:b' }],
    ['a table without a schema', { users: 'User' }],
    ['a mapper of another form', { 'public.users': { map: 'User' } }],
    [
      'an unknown field',
      { 'public.users': { map: () => null, type: ['User'] } },
    ],
  ])('refuses tables: %s', async (_, tables) => {
    await expect(
      start(
        CacheInvalidationPostgresModule.forRoot({
          connection: NOWHERE,
          tables: tables as never,
        }),
      ),
    ).rejects.toThrow('tables: it is not valid');
  });

  it('is off where the library is', async () => {
    const { source } = await start(
      CacheInvalidationPostgresModule.forRoot({
        connection: NOWHERE,
        tables: TABLES,
      }),
      false,
    );
    expect(source.status()).toMatchObject({ state: 'off', fault: null });
  });

  it('starts without PostgreSQL, and says so without the password', async () => {
    const { source } = await start(
      CacheInvalidationPostgresModule.forRoot({
        connection: NOWHERE,
        tables: TABLES,
        heartbeat: 50,
      }),
    );
    await eventually(() => expect(source.status().fault).not.toBeNull());
    const { state, fault } = source.status();
    expect(state).toBe('away');
    expect(fault?.message).toContain('ECONNREFUSED');
    expect(fault?.message).not.toContain('secret');
  });

  it('says that it needs the journal', async () => {
    const module = await Test.createTestingModule({
      imports: [
        CacheInvalidationModule.forRoot({
          serviceName: 'a',
          journal: false,
          connection: 'redis://127.0.0.1:1',
          startupTimeout: 1,
        }),
        CacheInvalidationPostgresModule.forRoot({
          connection: NOWHERE,
          tables: TABLES,
        }),
      ],
    })
      .setLogger(new LogRecorder())
      .compile();
    const app = await module.init();
    onTestFinished(() => app.close());
    expect(app.get(PostgresSource).status()).toMatchObject({
      state: 'away',
      fault: { message: expect.stringContaining('no journal') },
    });
  });
});

describe('CacheInvalidationPostgresModule with the broker in memory', () => {
  const server = useServer();

  it('announces changes', async () => {
    const table = uniqueName();
    await server().sql(`create table ${table} (id int primary key)`);
    const { source } = await start(
      CacheInvalidationPostgresModule.forRoot({
        connection: server().url,
        slot: uniqueName(),
        tables: { [`public.${table}`]: 'User' },
        heartbeat: 50,
      }),
    );
    await eventually(() => expect(source.status().state).toBe('holder'));
    await server().sql(`insert into ${table} values (1)`);
    await eventually(() =>
      expect(source.status()).toMatchObject({ transactions: 1, lagBytes: 0 }),
    );
  });
});
