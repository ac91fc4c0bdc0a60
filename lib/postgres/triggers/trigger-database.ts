import type { Client } from 'pg';
import { quoteIdentifier } from '../../common/index.js';
import {
  endQuietly,
  openClient,
  type PostgresConnection,
} from '../postgres-client.js';

/** Queries, each after the one before. @publicApi */
export interface PostgresTransaction {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[] }>;
}

/**
 * A database that the application has opened itself. PGlite is one. Queries outside of
 * `transaction()` are transactions of their own.
 *
 * @publicApi
 */
export interface PostgresDatabase extends PostgresTransaction {
  /**
   * Commits once `work` resolves, before its own promise resolves; rolls back and rejects
   * where it rejects.
   */
  transaction<T>(
    work: (transaction: PostgresTransaction) => Promise<T>,
  ): Promise<T>;
  /**
   * Calls `onNotified` for each NOTIFY on the channel, until the returned function is
   * called. Needed for the option `wakeUp` only.
   */
  listen?(
    channel: string,
    onNotified: () => void,
  ): Promise<() => Promise<unknown>>;
}

/**
 * A database at an address, by one connection that is opened when it is needed, and opened
 * anew after any failure.
 *
 * @internal
 */
export class PostgresLink implements PostgresDatabase {
  #client: Client | null = null;
  #channel: string | null = null;
  #onNotified: () => void = () => {};

  constructor(
    private readonly connection: PostgresConnection,
    /** Milliseconds that the server may take to answer. */
    private readonly timeout: number,
  ) {}

  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[] }> {
    return this.#closingOnError(async () => {
      const client = await this.#open();
      return client.query(text, values);
    });
  }

  transaction<T>(
    work: (transaction: PostgresTransaction) => Promise<T>,
  ): Promise<T> {
    return this.#closingOnError(async () => {
      const client = await this.#open();
      // A drain that is cut off must not keep the others from the outbox. Rows that have
      // been deleted meanwhile are passed over, and are no error.
      await client.query(
        `begin isolation level read committed; set local idle_in_transaction_session_timeout = ${this.timeout}`,
      );
      const result = await work({
        query: (text, values) => client.query(text, values),
      });
      await client.query('commit');
      return result;
    });
  }

  /** Listens on each connection from the next one on. */
  async listen(
    channel: string,
    onNotified: () => void,
  ): Promise<() => Promise<void>> {
    this.#channel = channel;
    this.#onNotified = onNotified;
    return async () => {
      this.#channel = null;
      this.#onNotified = () => {};
    };
  }

  close(): void {
    endQuietly(this.#client);
    this.#client = null;
  }

  async #closingOnError<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // The server rolls back what a closed connection has begun.
      this.close();
      throw error;
    }
  }

  async #open(): Promise<Client> {
    if (this.#client !== null) return this.#client;
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
    this.#client = client;
    if (this.#channel !== null) {
      client.on('notification', () => this.#onNotified());
      // Without LISTEN the outbox is still read each `poll`.
      await client
        .query(`listen ${quoteIdentifier(this.#channel)}`)
        .catch(() => null);
    }
    return client;
  }
}
