import { once } from 'node:events';
import pg from 'pg';
import type { Client, ClientConfig } from 'pg';
import { settlesWithin, withDeadline } from '../common/index.js';
import { InvalidationPostgresError } from './postgres.error.js';

/** A URL, or the options of node-postgres. @publicApi */
export type PostgresConnection = string | ClientConfig;

/** Milliseconds that the server may take to close a connection. */
const END_MS = 1_000;
/** Values have one text, whatever the server's or the role's defaults are. */
const TEXT_FORMAT =
  '-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex';

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

/**
 * Opens a connection that can read a slot. The server ends it when it does not hear this
 * side in time, so that another instance can have the slot.
 *
 * @internal
 */
export async function openReplication(options: OpenOptions): Promise<Client> {
  const config = configOf(options);
  const own = `${TEXT_FORMAT} -c wal_sender_timeout=${options.timeout}`;
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
  const client = new pg.Client(config);
  client.on('error', onLost);
  client.on('end', () => onLost(new Error('The connection was closed')));
  await withDeadline(timeout, client.connect(), () => {
    endQuietly(client);
    return new InvalidationPostgresError(
      `PostgreSQL did not answer within ${timeout} ms.`,
      'Trying again.',
    );
  });
  return client;
}

/** Connections that are being ended. */
const ending = new Set<Promise<void>>();

/** Ends a connection without waiting for it. @internal */
export function endQuietly(client: Client | null): void {
  if (client === null) return;
  client.removeAllListeners('error');
  client.removeAllListeners('end');
  client.on('error', () => {});
  const end = ended(client).finally(() => ending.delete(end));
  ending.add(end);
}

/** Resolves once all connections are closed that were ended so far. @internal */
export async function connectionsEnded(): Promise<void> {
  await Promise.all(ending);
}

/** A server that does not answer would keep the process from ending. */
async function ended(client: Client): Promise<void> {
  if (await settlesWithin(END_MS, client.end())) return;
  const { stream } = client.connection;
  const closed = once(stream, 'close').catch(() => null);
  stream.destroy();
  await closed;
}
