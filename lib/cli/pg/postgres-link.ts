import type { Client, ClientConfig } from 'pg';
import { describeCause } from '../../errors/index.js';
import { visible } from '../visible.js';
import { MissingPgError } from './missing-pg.error.js';
import { PostgresCommandError } from './postgres-command.error.js';

type ClientClass = new (config: ClientConfig) => Client;

/** Milliseconds for which services ask, on the connection that reads the slot. */
const SENDER_TIMEOUT_MS = 10_000;

/** Connections of one command. Nothing of `pg` is loaded before one is opened. @internal */
export class PostgresLink {
  #client: Promise<Client> | null = null;
  #replication: Promise<Client> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** @param timeout milliseconds that the server may take to connect, and to answer */
  constructor(
    private readonly url: URL,
    private readonly timeout: number,
    private readonly load: () => Promise<ClientClass> = loadClient,
  ) {}

  /** The address of the server, without user and password. */
  get where(): string {
    const { host, pathname } = this.url;
    return visible(`postgres://${host}${pathname}`);
  }

  /** The connection for queries. @throws MissingPgError, PostgresCommandError */
  client(): Promise<Client> {
    this.#client ??= this.#open({}).catch((error: unknown) => {
      if (error instanceof MissingPgError) throw error;
      throw new PostgresCommandError(
        `Cannot reach PostgreSQL at ${this.where}: ${describeCause(error as Error)}.`,
        'See that it runs, and that --postgres or CACHE_INVALIDATION_POSTGRES_URL leads to it.',
        error,
      );
    });
    return this.#client;
  }

  /** A connection such as services read the slot by. @throws what PostgreSQL answers */
  replication(): Promise<Client> {
    const config: ClientConfig & { readonly replication: string } = {
      replication: 'database',
      options: `-c wal_sender_timeout=${SENDER_TIMEOUT_MS}`,
    };
    this.#replication ??= this.#open(config);
    return this.#replication;
  }

  /** Runs one query after the other. */
  query<Row extends object>(text: string, values: unknown[] = []) {
    const answer = this.#last.then(async () => {
      const client = await this.client();
      return (await client.query<Row>(text, values)).rows;
    });
    this.#last = answer.catch(() => null);
    return answer;
  }

  close(): void {
    for (const each of [this.#client, this.#replication]) {
      void each?.then((client) => client.end()).catch(() => null);
    }
  }

  async #open(config: ClientConfig): Promise<Client> {
    const { url, timeout } = this;
    const client = new (await this.load())({
      connectionString: url.href,
      application_name: 'nestjs-cache-invalidation-cli',
      connectionTimeoutMillis: timeout,
      query_timeout: timeout,
      ...config,
    });
    // A query under way fails by itself.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }
}

/** Opens a link for one piece of work, and closes it in any case. @internal */
export async function withPostgres<T>(
  link: PostgresLink,
  work: (link: PostgresLink) => Promise<T>,
): Promise<T> {
  try {
    return await work(link);
  } finally {
    link.close();
  }
}

async function loadClient(): Promise<ClientClass> {
  try {
    return (await import('pg')).default.Client;
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (!String(code).endsWith('MODULE_NOT_FOUND')) throw error;
    throw new MissingPgError(error);
  }
}
