import type { InvalidationMessage } from '../../lib/message/index.js';
import type { RegionRelay } from '../../lib/regions/index.js';
import type { SimulatedRegion } from './regions.region.js';
import {
  SimulatedNode,
  type Counts,
  type NodeOptions,
} from './simulated.node.js';

/** One application of a region, with a relay of each source in its process. */
export class RegionNode extends SimulatedNode {
  /** Number of messages of each source that are known to be covered. */
  readonly checkedOf = new Map<string, number>();

  constructor(
    name: string,
    { network, database }: SimulatedRegion,
    /** Whether it changes rows: a process that only reads may die at any time. */
    readonly writes: boolean,
    options: NodeOptions,
    counts: Counts,
    onHeard: (message: InvalidationMessage) => void,
  ) {
    super(name, network, database, options, counts, (message) => {
      // Nothing that is cached is older.
      if (message.pattern === '*') this.widenedAt = network.time.now;
      onHeard(message);
    });
  }

  /** Whether this process reads a source. */
  holds(source: string): boolean {
    return this.relays.relays.some(
      (relay: RegionRelay) => relay.source === source && relay.isHolder,
    );
  }
}
