import type { InvalidationMessage } from '../../lib/message/index.js';
import { RegionRelay } from '../../lib/regions/index.js';
import type { SimulatedRegion } from './regions.region.js';
import {
  SimulatedNode,
  type Counts,
  type NodeOptions,
} from './simulated.node.js';
import { SimulatedTransport } from './simulated.transport.js';

/** One application of a region, with a relay of each source in its process. */
export class RegionNode {
  readonly node: SimulatedNode;
  readonly relays: readonly RegionRelay[];
  /** Number of messages of each source that are known to be covered. */
  readonly checked = new Map<string, number>();

  constructor(
    readonly name: string,
    region: SimulatedRegion,
    /** Whether it changes rows: a process that only reads may die at any time. */
    readonly writes: boolean,
    options: NodeOptions,
    counts: Counts,
    onHeard: (message: InvalidationMessage) => void,
  ) {
    const { network, database } = region;
    this.node = new SimulatedNode(
      name,
      network,
      database,
      options,
      counts,
      (message) => {
        // Nothing that is cached is older.
        if (message.pattern === '*') this.node.widenedAt = network.time.now;
        onHeard(message);
      },
    );
    this.relays = Object.entries(options.regions?.sources ?? {}).map(
      ([source, settings]) =>
        new RegionRelay(source, settings, {
          ...this.node.relayParts,
          local: region.name,
          open: () => region.other(source).link(name),
        }),
    );
  }

  get alive(): boolean {
    return this.node.alive;
  }

  get transport(): SimulatedTransport {
    return this.node.transport;
  }

  async start(): Promise<void> {
    await this.node.start();
    if (!this.alive) return;
    for (const relay of this.relays) relay.start();
  }

  /** SIGKILL. */
  kill(): void {
    this.node.kill();
    // Nothing reaches this region's Redis any more.
    for (const relay of this.relays) void relay.stop();
  }
}
