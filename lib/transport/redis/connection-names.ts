import type { Cluster, Redis } from 'ioredis';
import type { Introduction } from '../invalidation.transport.js';
import { connectionName } from './connection-name-format.js';
import { nodesOf } from './cluster-nodes.js';
import { isCluster } from './redis-connection.js';

/**
 * Names the connections of an instance, so that `doctor` can list the subscribers.
 * A name from the application's options stays. Connections stay unnamed without the
 * right to CLIENT, or behind a proxy that does not know it.
 *
 * @internal
 */
export class ConnectionNames {
  #introduction: Introduction | null = null;
  /** Whether the application's options name its connections. */
  readonly #isNamed: boolean;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly channel: string,
  ) {
    const options = isCluster(client)
      ? client.options.redisOptions
      : client.options;
    this.#isNamed = Boolean(options?.connectionName);
    if (isCluster(client)) {
      client.on('+node', (node: Redis) => this.#name(node));
    }
  }

  /** The name of the next connection for the subscription. */
  get subscription(): string | null {
    return this.#introduction === null
      ? null
      : connectionName('subscription', this.channel, this.#introduction);
  }

  /** Names the connections that are open, and those that are opened later. */
  introduce(introduction: Introduction): void {
    if (this.#isNamed) return;
    this.#introduction = introduction;
    for (const node of nodesOf(this.client)) this.#name(node);
  }

  /** ioredis repeats the name at each connect. */
  #name(node: Redis): void {
    if (this.#introduction === null) return;
    const name = connectionName('commands', this.channel, this.#introduction);
    node.options.connectionName = name;
    if (node.status !== 'ready') return;
    node.client('SETNAME', name).catch(() => undefined);
  }
}
