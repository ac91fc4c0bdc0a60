import type { Client } from 'pg';
import {
  endQuietly,
  openClient,
  type PostgresConnection,
} from '../postgres-client.js';

/** Queries in a transaction. @publicApi */
export interface PostgresTransaction {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[] }>;
}

/**
 * A database that the application has opened itself. PGlite is one.
 *
 * @publicApi
 */
export interface PostgresDatabase {
  /**
   * Commits once `work` resolves, before its own promise resolves; rolls back and rejects
   * where it rejects.
   */
  transaction<T>(
    work: (transaction: PostgresTransaction) => Promise<T>,
  ): Promise<T>;
}

/**
 * A database at an address, by one connection that is opened when it is needed, and opened
 * anew after any failure.
 *
 * @internal
 */
export class PostgresLink implements PostgresDatabase {
  #client: Client | null = null;

  constructor(
    private readonly connection: PostgresConnection,
    /** Milliseconds that the server may take to answer. */
    private readonly timeout: number,
  ) {}

  async transaction<T>(
    work: (transaction: PostgresTransaction) => Promise<T>,
  ): Promise<T> {
    try {
      const client = (this.#client ??= await this.#open());
      // Rows that another drain deletes meanwhile are skipped, and are no error.
      await client.query('begin isolation level read committed');
      const result = await work({
        query: (text, values) => client.query(text, values),
      });
      await client.query('commit');
      return result;
    } catch (error) {
      // The server rolls back what a closed connection has begun.
      this.close();
      throw error;
    }
  }

  close(): void {
    endQuietly(this.#client);
    this.#client = null;
  }

  async #open(): Promise<Client> {
    const { connection, timeout } = this;
    let opened: Client | null = null;
    const client = await openClient({
      connection,
      timeout,
      onLost: () => {
        if (opened !== null && this.#client === opened) this.close();
      },
    });
    opened = client;
    try {
      // Else a drain that is cut off would keep its rows from the others.
      await client.query(
        `set idle_in_transaction_session_timeout = ${2 * timeout}`,
      );
    } catch (error) {
      endQuietly(client);
      throw error;
    }
    return client;
  }
}
