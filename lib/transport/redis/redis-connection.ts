import type {
  Cluster,
  ClusterNode,
  ClusterOptions,
  Redis,
  RedisOptions,
} from 'ioredis';
import type { RedisCredentials } from './redis-credentials.js';

/**
 * The options of ioredis. User and password may be functions, which are called
 * at each connect.
 *
 * @publicApi
 */
export type RedisServerOptions = Omit<RedisOptions, keyof RedisCredentials> &
  RedisCredentials;

/** A Redis Cluster, as ioredis describes one. @publicApi */
export interface ClusterDescription {
  readonly cluster: {
    /** Start-up nodes; the other nodes are found through them. */
    readonly nodes: ClusterNode[];
    readonly options?: Omit<ClusterOptions, 'redisOptions'> & {
      readonly redisOptions?: RedisServerOptions;
    };
  };
}

/**
 * The address of Redis: a URL (`redis:` or `rediss:`), ioredis options (Sentinel
 * included), a cluster, or a client of the application. A client only gives its
 * options: it is duplicated, and never used or closed.
 *
 * @publicApi
 */
export type RedisConnection =
  string | RedisServerOptions | ClusterDescription | Redis | Cluster;

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

/** @internal */
export function topologyOf(
  connection: RedisConnection,
): 'server' | 'cluster' | 'sentinel' {
  if (typeof connection === 'string') return 'server';
  if ('cluster' in connection) return 'cluster';
  if (isClient(connection)) {
    if (isCluster(connection)) return 'cluster';
    return connection.options.sentinels ? 'sentinel' : 'server';
  }
  return connection.sentinels ? 'sentinel' : 'server';
}
