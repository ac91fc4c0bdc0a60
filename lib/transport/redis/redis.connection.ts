import {
  Cluster,
  Redis,
  type ClusterNode,
  type ClusterOptions,
  type RedisOptions,
} from 'ioredis';
import { retryDelay } from '../retry-delay.js';

/** A Redis Cluster, as ioredis describes one. @publicApi */
export interface ClusterDescription {
  readonly cluster: {
    /** Start-up nodes; the others are found through them. */
    readonly nodes: ClusterNode[];
    readonly options?: ClusterOptions;
  };
}

/**
 * Where Redis is: a URL (`redis:` or `rediss:`), ioredis options (Sentinel
 * included), a cluster, or a client of yours, which only tells where: it is
 * duplicated, and never used or closed.
 *
 * @publicApi
 */
export type RedisConnection =
  string | RedisOptions | ClusterDescription | Redis | Cluster;

/** What a closed socket may linger: ioredis' own 2 s would hold up an exit. */
const DISCONNECT_MS = 100;

/**
 * Ours to judge, so ioredis must not: its offline queue turns an outage into
 * seconds of latency, and its resending announces twice.
 */
const COMMAND_OPTIONS = {
  lazyConnect: true,
  disconnectTimeout: DISCONNECT_MS,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: null,
  retryStrategy: retryDelay,
} satisfies RedisOptions;

/** Where the journal is, for everybody on the channel. */
const COMMON_KEYS = { db: 0, keyPrefix: '' } satisfies RedisOptions;

/** @internal */
export function isClient(connection: unknown): connection is Redis | Cluster {
  // Not instanceof: the application may hold another copy of ioredis.
  return (
    typeof connection === 'object' &&
    connection !== null &&
    typeof (connection as Redis).duplicate === 'function' &&
    typeof (connection as Redis).pipeline === 'function'
  );
}

/** @internal */
export function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster;
}

/** A client for commands, not connected yet. @internal */
export function openCommands(connection: RedisConnection): Redis | Cluster {
  return open(connection, COMMON_KEYS);
}

/**
 * A client for entries that near caches share, not connected yet: in the
 * database that was asked for, and never the one that invalidations leave by,
 * where a large value would be in their way.
 *
 * @internal
 */
export function openEntries(connection: RedisConnection): Redis | Cluster {
  return open(connection, { keyPrefix: '' });
}

function open(
  connection: RedisConnection,
  keys: RedisOptions,
): Redis | Cluster {
  if (isClient(connection)) {
    return isCluster(connection)
      ? connection.duplicate([], clusterOptions(connection.options))
      : connection.duplicate({ ...COMMAND_OPTIONS, ...keys });
  }
  if (typeof connection === 'object' && 'cluster' in connection) {
    const { nodes, options } = connection.cluster;
    return new Cluster(nodes, clusterOptions(options));
  }
  const client =
    typeof connection === 'string'
      ? new Redis(connection, COMMAND_OPTIONS)
      : new Redis({ ...connection, ...COMMAND_OPTIONS });
  // Here and not in the options, over which a URL wins.
  Object.assign(client.options, keys);
  return client;
}

function clusterOptions(options: ClusterOptions = {}): ClusterOptions {
  return {
    ...options,
    keyPrefix: '',
    lazyConnect: true,
    enableOfflineQueue: false,
    // Sending again is for who knows whether the first try arrived.
    retryDelayOnFailover: 0,
    scaleReads: 'master',
    clusterRetryStrategy: retryDelay,
    redisOptions: {
      ...options.redisOptions,
      autoResendUnfulfilledCommands: false,
      disconnectTimeout: DISCONNECT_MS,
    },
  };
}

/**
 * A connection of its own for the subscription, not connected yet. It neither
 * reconnects nor resubscribes by itself: its owner must know the moment at
 * which SUBSCRIBE is acknowledged, and ioredis does not tell.
 *
 * @param owner the node of a cluster to connect to, `host:port`; any if `null`
 * @returns `null` while a cluster does not know its nodes
 * @internal
 */
export function openSubscription(
  client: Redis | Cluster,
  owner: string | null,
): Redis | null {
  const source = isCluster(client) ? anyNode(client) : client;
  return (
    source?.duplicate({
      ...(owner === null ? {} : addressFrom(owner)),
      lazyConnect: true,
      disconnectTimeout: DISCONNECT_MS,
      enableOfflineQueue: true,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: null,
      retryStrategy: () => null,
    }) ?? null
  );
}

function addressFrom(owner: string): { host: string; port: number } {
  const colon = owner.lastIndexOf(':');
  return { host: owner.slice(0, colon), port: Number(owner.slice(colon + 1)) };
}

/**
 * Connects again where ioredis has given up for good, as it does when it is
 * disconnected while it asks a Sentinel for the master.
 *
 * @returns what ends that
 * @internal
 */
export function keepOpen(client: Redis | Cluster): () => void {
  let attempt = 0;
  let timer: NodeJS.Timeout | undefined;
  const connect = (): void => {
    // Its errors are told by its 'error' event.
    client.connect().catch(() => undefined);
  };
  const connectLater = (): void => {
    timer = setTimeout(connect, retryDelay(attempt++));
  };
  client.on('end', connectLater);
  client.on('ready', () => (attempt = 0));
  return () => {
    client.off('end', connectLater);
    clearTimeout(timer);
  };
}

/** Slots may have moved. @internal */
export function refreshNodes(client: Redis | Cluster): void {
  if (isCluster(client)) client.refreshSlotsCache();
}

/**
 * In a cluster PUBLISH may go to any node, and two nodes may reorder what one
 * publisher said: so always the same one, for as long as it is a master.
 *
 * @internal
 */
export function publishingNode(client: Redis | Cluster): Redis | null {
  if (!isCluster(client)) return client;
  return client
    .nodes('master')
    .reduce<Redis | null>(
      (first, node) =>
        first === null || addressOf(node) < addressOf(first) ? node : first,
      null,
    );
}

function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

// Classic Pub/Sub reaches every node of a cluster.
function anyNode(cluster: Cluster): Redis | null {
  const nodes = cluster.nodes('all');
  return nodes[Math.floor(Math.random() * nodes.length)] ?? null;
}

/**
 * ioredis hangs the failed command on its errors: the password of AUTH, the
 * payload of PUBLISH. Neither belongs in a log.
 *
 * @internal
 */
export function withoutCommand<E extends Error>(error: E): E {
  const { lastNodeError } = error as { lastNodeError?: Error };
  delete (error as { command?: unknown }).command;
  if (lastNodeError !== undefined) withoutCommand(lastNodeError);
  return error;
}
