import { Logger } from '@nestjs/common';
import { Pool, type QueryResultRow } from 'pg';
import { Database } from './database.js';

/** Any number; the same for all who create these tables. */
const LOCK = 710_321;

const CONNECT_TIMEOUT_MS = 5_000;

/** A PostgreSQL server. */
export class PostgresDatabase extends Database {
  readonly #pool: Pool;

  constructor(url: string) {
    super();
    this.#pool = new Pool({
      connectionString: url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    // Without a listener, a server that restarts would end this process.
    this.#pool.on('error', ({ message }) =>
      new Logger(PostgresDatabase.name).warn(message),
    );
  }

  override async query<Row>(
    sql: string,
    parameters: unknown[] = [],
  ): Promise<Row[]> {
    const { rows } = await this.#pool.query<Row & QueryResultRow>(
      sql,
      parameters,
    );
    return rows;
  }

  override async run(sql: string): Promise<void> {
    // CREATE TABLE IF NOT EXISTS fails when two sessions run it at once.
    await this.#pool.query(`SELECT pg_advisory_xact_lock(${LOCK}); ${sql}`);
  }

  override close(): Promise<void> {
    return this.#pool.end();
  }
}
