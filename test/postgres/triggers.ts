import { onTestFinished } from 'vitest';
import {
  dropTriggerSql,
  triggerSql,
  type CacheInvalidationPostgresOptions,
  type PostgresDatabase,
  type TableMapping,
} from 'nestjs-cache-invalidation/postgres';
import type { AppOptions } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import type { PostgresServer } from '../support/postgres.js';
import { startSourceApp, uniqueName, type SourceApp } from './setup.js';

type Sql = (text: string) => Promise<unknown>;

export interface TriggerMapped {
  readonly columns?: string;
  readonly mapping?: TableMapping;
  readonly more?: string;
  readonly bulk?: number;
  readonly wakeUp?: boolean;
}

/** A table with its triggers and an outbox of its own. */
export interface TriggerTable {
  readonly table: string;
  readonly outbox: string;
  readonly options: CacheInvalidationPostgresOptions;
  /** Runs SQL with the table's name in the place of TABLE, and the outbox's of OUTBOX. */
  readonly sql: PostgresServer['sql'];
  install(): Promise<void>;
}

/** Makes a table and its triggers on a server. */
export async function triggerTable(
  server: PostgresServer,
  {
    columns = 'id int primary key, name text',
    mapping = 'User',
    more = '',
    bulk = 1_000,
    wakeUp = false,
  }: TriggerMapped = {},
): Promise<TriggerTable> {
  const table = uniqueName();
  const outbox = `public.${table}_outbox`;
  const tables = { [`public.${table}`]: mapping };
  const sql: PostgresServer['sql'] = (text, values) =>
    server.sql(
      text.replaceAll('TABLE', table).replaceAll('OUTBOX', outbox),
      values,
    );
  const install = async (): Promise<void> => {
    await server.sql(triggerSql(tables, { outbox, bulk, wakeUp }));
  };
  await sql(`create table TABLE (${columns}) ${more}`);
  await install();
  onTestFinished(async () => {
    await server.sql(dropTriggerSql({ outbox }));
  });
  const options: CacheInvalidationPostgresOptions = {
    mode: 'triggers',
    connection: server.url,
    tables,
    outbox,
    bulk,
    poll: 10,
    wakeUp,
  };
  return { table, outbox, options, sql, install };
}

/** Starts a drain, which has published its first widening unless it is told otherwise. */
export async function startDrain(
  options: CacheInvalidationPostgresOptions,
  app: AppOptions = {},
  widened = 1,
): Promise<SourceApp> {
  const started = await startSourceApp(options, app);
  await untilDraining(started);
  if (widened > 0) await started.next(widened);
  return started;
}

export async function untilDraining({ source }: SourceApp): Promise<void> {
  await eventually(() => {
    const { state, fault } = source.status();
    if (state !== 'holder') throw fault ?? new Error(state);
  });
}

/**
 * A database by a connection of the test's own, whose next transactions are rolled back
 * once their work is done, as often as `failures` says: their drain was killed.
 */
export async function killable(
  server: PostgresServer,
): Promise<PostgresDatabase & { failures: number }> {
  const client = await server.connect();
  const run: Sql = (text) => client.query(text);
  const database: PostgresDatabase & { failures: number } = {
    failures: 0,
    query: (text, values) => client.query(text, values),
    async transaction(work) {
      await run('begin');
      try {
        const result = await work({
          query: (text, values) => client.query(text, values),
        });
        // Only transactions that have deleted something.
        const { rows } = await client.query<{ wrote: boolean }>(
          'select txid_current_if_assigned() is not null as wrote',
        );
        if (rows[0]!.wrote && database.failures > 0) {
          database.failures--;
          throw new Error('killed');
        }
        await run('commit');
        return result;
      } catch (error) {
        await run('rollback');
        throw error;
      }
    },
  };
  return database;
}
