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
 * included), a cluster, or a client of yours, which is used for commands,
 * duplicated for the subscription, and never closed.
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
export function openClient(
  connection: Exclude<RedisConnection, Redis | Cluster>,
): Redis | Cluster {
  if (typeof connection === 'string') {
    return new Redis(connection, COMMAND_OPTIONS);
  }
  if ('cluster' in connection) {
    const { nodes, options } = connection.cluster;
    return new Cluster(nodes, {
      ...options,
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: retryDelay,
      redisOptions: {
        ...options?.redisOptions,
        autoResendUnfulfilledCommands: false,
        disconnectTimeout: DISCONNECT_MS,
      },
    });
  }
  return new Redis({ ...connection, ...COMMAND_OPTIONS });
}

/**
 * A connection of its own for the subscription, not connected yet. It neither
 * reconnects nor resubscribes by itself: its owner must know the moment at
 * which SUBSCRIBE is acknowledged, and ioredis does not tell.
 *
 * @returns `null` while a cluster does not know its nodes
 * @internal
 */
export function openSubscription(client: Redis | Cluster): Redis | null {
  const source = isCluster(client) ? anyNode(client) : client;
  return (
    source?.duplicate({
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

/** Whether what was unanswered when a connection broke is sent again. @internal */
export function resends(client: Redis | Cluster): boolean {
  const options = isCluster(client)
    ? client.options.redisOptions
    : client.options;
  return options?.autoResendUnfulfilledCommands !== false;
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
