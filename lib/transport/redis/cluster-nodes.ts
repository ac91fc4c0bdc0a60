import type { Cluster, NodeRole, Redis } from 'ioredis';
import { isCluster } from './redis-connection.js';

/** The nodes of a cluster that are known now, or the one server. @internal */
export function nodesOf(
  client: Redis | Cluster,
  role: NodeRole = 'all',
): Redis[] {
  return isCluster(client) ? client.nodes(role) : [client];
}

/**
 * The node that takes every PUBLISH; `null` while no master is known. Any node of
 * a cluster would do, but two nodes may reorder the messages of one publisher:
 * always the same one, for as long as it is a master.
 *
 * @internal
 */
export function publishingNode(client: Redis | Cluster): Redis | null {
  return nodesOf(client, 'master').reduce<Redis | null>(
    (first, node) =>
      first === null || addressOf(node) < addressOf(first) ? node : first,
    null,
  );
}

/** @internal */
export function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}
