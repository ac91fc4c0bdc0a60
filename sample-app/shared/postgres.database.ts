import { Logger } from '@nestjs/common';
import {
  Client,
  Pool,
  type ClientBase,
  type ClientConfig,
  type QueryResultRow,
} from 'pg';
import { Database, type Queries } from './database.js';

/**
 * Key of the advisory lock: any number, the same for all processes that create
 * these tables.
 */
const LOCK = 710_321;

const CONNECT_TIMEOUT_MS = 5_000;

/** A PostgreSQL server. */
export class PostgresDatabase extends Database {
  readonly connection;
  readonly #pool: Pool;

  constructor(private readonly url: string) {
    super();
    this.connection = { connection: url };
    this.#pool = new Pool(this.#config);
    // Without a listener, a restart of the server would end this process.
    this.#pool.on('error', warn);
  }

  get #config(): ClientConfig {
    return {
      connectionString: this.url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    };
  }

  override query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]> {
    return queries(this.#pool).query<Row>(sql, parameters);
  }

  protected override async begin<T>(
    work: (transaction: Queries) => Promise<T>,
  ): Promise<T> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN');
      const result = await work(queries(client));
      await client.query('COMMIT');
      client.release();
      return result;
    } catch (error) {
      // Ends the transaction, too, whatever the state of the connection is.
      client.release(true);
      throw error;
    }
  }

  override async run(sql: string): Promise<void> {
    // CREATE TABLE IF NOT EXISTS fails when two sessions run it at once.
    await this.#pool.query(`SELECT pg_advisory_xact_lock(${LOCK}); ${sql}`);
  }

  override async runApart(script: string): Promise<void> {
    const client = new Client(this.#config);
    client.on('error', warn);
    await client.connect();
    try {
      await client.query(script);
    } finally {
      await client.end();
    }
  }

  override close(): Promise<void> {
    return this.#pool.end();
  }
}

function warn({ message }: Error): void {
  new Logger(PostgresDatabase.name).warn(message);
}

function queries(on: Pick<ClientBase, 'query'>): Queries {
  return {
    async query<Row>(sql: string, parameters: unknown[] = []) {
      const { rows } = await on.query<Row & QueryResultRow>(sql, parameters);
      return rows;
    },
  };
}
