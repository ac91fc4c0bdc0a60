import {
  Cluster,
  Redis,
  type ClusterNode,
  type ClusterOptions,
  type RedisOptions,
} from 'ioredis';
import { reconnectDelay } from '../../common/index.js';
import { watchErrors } from './client-errors.js';
import {
  isClient,
  isCluster,
  type RedisConnection,
} from './redis-connection.js';
import {
  renewCredentials,
  renewCredentialsOfNode,
  withoutFunctions,
} from './redis-credentials.js';

/**
 * Milliseconds that a closing socket may take: ioredis' own 2 s would delay an exit.
 *
 * @internal
 */
export const DISCONNECT_MS = 100;

/**
 * Milliseconds that one Sentinel may take; ioredis would wait without a bound, and
 * ask no other.
 *
 * @internal
 */
export const SENTINEL_MS = 1_000;

/**
 * The publish queue decides what to send again, so ioredis must not: its offline
 * queue turns an outage into seconds of latency, and its resending publishes twice.
 */
const COMMAND_OPTIONS = {
  lazyConnect: true,
  // A connection that breaks would leave the pipeline, and all commands after it,
  // unsent for ever.
  enableAutoPipelining: false,
  disconnectTimeout: DISCONNECT_MS,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: null,
  retryStrategy: reconnectDelay,
} satisfies RedisOptions;

interface KeySpace {
  readonly db?: number;
  readonly keyPrefix?: string;
}

/** The journal's: everybody on the channel must find it. */
const COMMON_KEY_SPACE: KeySpace = { db: 0, keyPrefix: '' };

/** A client for commands, not connected yet. @internal */
export function openCommands(connection: RedisConnection): Redis | Cluster {
  return open(connection, COMMON_KEY_SPACE);
}

/**
 * A client for entries of the second tier, not connected yet, in the database and
 * under the prefix of its options. Never the client that publishes: a large entry
 * would delay messages.
 *
 * @internal
 */
export function openEntries(connection: RedisConnection): Redis | Cluster {
  return open(connection, {});
}

function open(
  connection: RedisConnection,
  keySpace: KeySpace,
): Redis | Cluster {
  if (isClient(connection)) {
    return isCluster(connection)
      ? duplicateCluster(connection, keySpace)
      : duplicateServer(connection, keySpace);
  }
  if (typeof connection === 'object' && 'cluster' in connection) {
    const { nodes, options = {} } = connection.cluster;
    return watchNodes(
      new Cluster(
        nodes,
        clusterOptions(nodes, options as ClusterOptions, keySpace),
      ),
      () => options.redisOptions ?? {},
    );
  }
  let client: Redis;
  if (typeof connection === 'string') {
    client = new Redis(connection, COMMAND_OPTIONS);
  } else {
    const options = withoutFunctions(connection) as RedisOptions;
    client = renewCredentials(
      new Redis({
        ...options,
        ...COMMAND_OPTIONS,
        ...sentinelOptions(options),
      }),
      () => connection,
    );
  }
  // Not in the options above: a URL takes precedence over them.
  Object.assign(client.options, keySpace);
  return watchErrors(client);
}

function duplicateServer(server: Redis, keySpace: KeySpace): Redis {
  const client = server.duplicate({
    ...COMMAND_OPTIONS,
    ...sentinelOptions(server.options),
    ...keySpace,
  });
  return watchErrors(renewCredentials(client, () => server.options));
}

function duplicateCluster(cluster: Cluster, keySpace: KeySpace): Cluster {
  const { startupNodes } = cluster as unknown as {
    readonly startupNodes: ClusterNode[];
  };
  return watchNodes(
    cluster.duplicate(
      [],
      clusterOptions(startupNodes, cluster.options, keySpace),
    ),
    () => cluster.options.redisOptions ?? {},
  );
}

/** `tls` is meant for the master too; ioredis needs a second option for that. */
function sentinelOptions(options: RedisOptions): RedisOptions {
  const { sentinels, tls, sentinelTLS = tls } = options;
  if (!sentinels) return {};
  const sentinelCommandTimeout = options.sentinelCommandTimeout ?? SENTINEL_MS;
  return tls && !options.enableTLSForSentinelMode
    ? { sentinelCommandTimeout, enableTLSForSentinelMode: true, sentinelTLS }
    : { sentinelCommandTimeout };
}

function clusterOptions(
  nodes: readonly ClusterNode[],
  options: ClusterOptions,
  {
    keyPrefix = options.keyPrefix || options.redisOptions?.keyPrefix || '',
  }: KeySpace,
): ClusterOptions {
  const { redisOptions = {} } = options;
  // ioredis does not read the scheme of a node's URL.
  const tls = redisOptions.tls ?? (nodes.some(isRediss) ? {} : undefined);
  return {
    ...options,
    keyPrefix,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    // The publish queue decides what to send again.
    retryDelayOnFailover: 0,
    scaleReads: 'master',
    clusterRetryStrategy: reconnectDelay,
    redisOptions: {
      ...withoutFunctions(redisOptions),
      ...(tls && { tls }),
      // ioredis takes this prefix if the cluster has none.
      keyPrefix: '',
      autoResendUnfulfilledCommands: false,
      disconnectTimeout: DISCONNECT_MS,
    },
  };
}

function isRediss(node: ClusterNode): boolean {
  return typeof node === 'string' && node.startsWith('rediss://');
}

function watchNodes(cluster: Cluster, credentials: () => object): Cluster {
  cluster.on('+node', (node: Redis) => {
    renewCredentialsOfNode(node, credentials);
    watchErrors(node);
  });
  return cluster;
}
