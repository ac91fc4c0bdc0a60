import type { Cluster, Redis } from 'ioredis';
import type { Introduction } from '../invalidation.transport.js';
import { connectionName } from './connection.name.js';
import { nodesOf } from './cluster-nodes.js';
import { isCluster } from './redis.connection.js';

/**
 * Names the connections of an instance, so that `doctor` can tell who listens. A
 * name that the application has given stays. Whoever may not name connections,
 * or is behind a proxy that knows no CLIENT, does without.
 *
 * @internal
 */
export class ConnectionNames {
  #introduction: Introduction | null = null;
  /** The application has given its connections a name. */
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

  /** The name of a connection that is to be opened for the subscription. */
  get subscription(): string | null {
    return this.#introduction === null
      ? null
      : connectionName('subscription', this.channel, this.#introduction);
  }

  /** Names what is open now and what will be. */
  introduce(introduction: Introduction): void {
    if (this.#isNamed) return;
    this.#introduction = introduction;
    for (const node of nodesOf(this.client)) this.#name(node);
  }

  /** ioredis says it again at each connect. */
  #name(node: Redis): void {
    if (this.#introduction === null) return;
    const name = connectionName('commands', this.channel, this.#introduction);
    node.options.connectionName = name;
    if (node.status !== 'ready') return;
    node.client('SETNAME', name).catch(() => undefined);
  }
}
