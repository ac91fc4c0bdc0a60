import { Client, type ClientConfig } from 'pg';
import { withDeadline } from '../common/index.js';
import { InvalidationPostgresError } from './postgres.error.js';

/** A URL, or the options of node-postgres. @publicApi */
export type PostgresConnection = string | ClientConfig;

/**
 * Milliseconds after which the server takes the slot from a holder that is not heard, so
 * that another instance can have it.
 */
const SENDER_TIMEOUT_MS = 10_000;

/** @internal */
export interface OpenOptions {
  readonly connection: PostgresConnection;
  /** Milliseconds that the server may take to answer. */
  readonly timeout: number;
  /** Called once, unless this side ends the connection. */
  readonly onLost: (cause: Error) => void;
}

/** Opens a connection for queries. @internal */
export async function openClient(options: OpenOptions): Promise<Client> {
  const { timeout } = options;
  return open({ ...configOf(options), query_timeout: timeout }, options);
}

/** Opens a connection that can read a slot. @internal */
export async function openReplication(options: OpenOptions): Promise<Client> {
  const config = configOf(options);
  const own = `-c wal_sender_timeout=${SENDER_TIMEOUT_MS}`;
  const settings: ClientConfig & { readonly replication: string } = {
    ...config,
    options: config.options === undefined ? own : `${config.options} ${own}`,
    replication: 'database',
  };
  return open(settings, options);
}

function configOf({ connection, timeout }: OpenOptions): ClientConfig {
  const given =
    typeof connection === 'string'
      ? { connectionString: connection }
      : connection;
  return {
    fallback_application_name: 'nestjs-cache-invalidation',
    keepAlive: true,
    ...given,
    connectionTimeoutMillis: timeout,
  };
}

async function open(
  config: ClientConfig,
  { timeout, onLost }: OpenOptions,
): Promise<Client> {
  const client = new Client(config);
  client.on('error', onLost);
  client.on('end', () => onLost(new Error('The connection was closed')));
  await withDeadline(timeout, client.connect(), () => {
    void client.end().catch(() => null);
    return new InvalidationPostgresError(
      `PostgreSQL did not answer within ${timeout} ms.`,
      'Trying again.',
    );
  });
  return client;
}

/** Ends a connection without waiting for it. @internal */
export function endQuietly(client: Client | null): void {
  client?.removeAllListeners('error');
  client?.removeAllListeners('end');
  client?.on('error', () => {});
  void client?.end().catch(() => null);
}
