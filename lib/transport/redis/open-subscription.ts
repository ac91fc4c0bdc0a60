import type { Cluster, Redis } from 'ioredis';
import { watchErrors } from './client-errors.js';
import { addressOf } from './cluster-nodes.js';
import { DISCONNECT_MS } from './open-client.js';
import { isCluster } from './redis-connection.js';

/**
 * A connection for the subscription only, not connected yet. It neither reconnects
 * nor resubscribes by itself: `RedisSubscription` must know the moment at which
 * SUBSCRIBE is acknowledged, and ioredis does not report it.
 *
 * @param owner the node of a cluster to connect to, `host:port`; any if `null`
 * @param name of the connection; as in the client's options if `null`
 * @returns `null` while a cluster does not know its nodes
 * @internal
 */
export function openSubscription(
  client: Redis | Cluster,
  owner: string | null,
  name: string | null = null,
): Redis | null {
  const address = owner === null ? null : natAddress(client, owner);
  const source = isCluster(client) ? nodeAt(client, address) : client;
  const connection = source?.duplicate({
    ...address,
    ...(name !== null && { connectionName: name }),
    keyPrefix: '',
    lazyConnect: true,
    disconnectTimeout: DISCONNECT_MS,
    enableOfflineQueue: true,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
  });
  return connection ? watchErrors(connection) : null;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** The address by which the application reaches a node, which `natMap` may change. */
function natAddress(client: Redis | Cluster, owner: string): Address {
  const { natMap } = client.options;
  const mapped = typeof natMap === 'function' ? natMap(owner) : natMap?.[owner];
  if (mapped) return mapped;
  const colon = owner.lastIndexOf(':');
  return { host: owner.slice(0, colon), port: Number(owner.slice(colon + 1)) };
}

/** The node with that address and its own options; else any node, which redirects. */
function nodeAt(cluster: Cluster, address: Address | null): Redis | undefined {
  const nodes = cluster.nodes('all');
  // Classic Pub/Sub reaches every node of a cluster.
  const any = nodes[Math.floor(Math.random() * nodes.length)];
  if (address === null) return any;
  const name = `${address.host}:${address.port}`;
  return nodes.find((node) => addressOf(node) === name) ?? any;
}
