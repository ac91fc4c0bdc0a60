import {
  decodeMessage,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { Faults, type Client } from './faults.js';
import { HostilePublisher } from './hostile.publisher.js';
import type { Random } from './random.js';
import { RegionForeign } from './regions.foreign.js';
import { gated } from './regions.gates.js';
import { RegionNode } from './regions.node.js';
import { sourcesOf, type RegionSchedule } from './regions.schedule.js';
import { SimulatedNetwork } from './simulated.network.js';
import {
  ForeignService,
  SimulatedDatabase,
  type Counts,
  type NodeOptions,
} from './simulated.node.js';
import { SimulatedTransport } from './simulated.transport.js';
import type { Trail } from './trail.js';
import type { VirtualTime } from './virtual.time.js';
import { changeFrom, KEYS, said } from './workload.js';

/** Parts of a run that its regions share. */
export interface World {
  readonly time: VirtualTime;
  readonly random: Random;
  /** For what not every schedule has: the others go on as they did without. */
  readonly others: Random;
  readonly trail: Trail;
  readonly schedule: RegionSchedule;
  readonly counts: Counts;
  readonly rows: Map<string, number>;
  readonly regions: Map<string, SimulatedRegion>;
  over: boolean;
}

/** A message that a region's Redis took. */
export interface Taken {
  readonly message: InvalidationMessage;
  readonly at: number;
  /** Regions that it must reach; absent for a journaled one, which must reach all. */
  readonly owedTo?: ReadonlySet<string>;
}

/** One region: a Redis, applications, and what other regions connect to it. */
export class SimulatedRegion {
  readonly network: SimulatedNetwork;
  readonly database: SimulatedDatabase;
  readonly faults: Faults;
  readonly foreign: RegionForeign;
  readonly nodes: RegionNode[] = [];
  readonly taken: Taken[] = [];
  readonly #links = new Map<string, SimulatedTransport>();

  constructor(
    readonly name: string,
    private readonly world: World,
    random: Random,
  ) {
    const { time, schedule, rows } = world;
    this.network = new SimulatedNetwork(
      time,
      random,
      schedule.maxLength,
      (payload, offset) => this.#appended(payload, offset),
    );
    this.network.link = (node, region) => this.other(region).#link(node);
    this.database = new SimulatedDatabase(() => time.now, rows);
    const service = new ForeignService(this.network, this.database);
    this.foreign = new RegionForeign(this, service, world);
    this.faults = new Faults(this.network, {
      get over() {
        return world.over;
      },
      lasts: schedule.lasts,
      clients: this.#clients(),
      foreign: service,
      hostile: new HostilePublisher(this.network),
      kill: (index) => this.#kill(index),
      join: () => this.join(schedule.durable),
    });
  }

  get alive(): RegionNode[] {
    return this.nodes.filter(({ alive }) => alive);
  }

  /** The names of its sources. */
  get sources(): string[] {
    return Object.keys(sourcesOf(this.world.schedule, this.name));
  }

  other(name: string): SimulatedRegion {
    return this.world.regions.get(name)!;
  }

  /** Connects a relay in another region. */
  #link(node: string): SimulatedTransport {
    const name = `${node}>${this.name}`;
    for (const line of ['commands', 'subscription'] as const) {
      this.network.weather(name, line).latency = this.world.schedule.latency;
    }
    const transport = new SimulatedTransport(name, this.network, true);
    this.#links.set(name, transport);
    return transport;
  }

  join(writes: boolean): void {
    const { trail, counts } = this.world;
    const node = new RegionNode(
      `${this.name}${this.nodes.length}`,
      this,
      writes,
      this.#nodeOptions(),
      counts,
      (message) => {
        trail.note(`${node.name} hears ${message.messageId}`);
        trail.trace(
          () =>
            `${node.name} receives ${message.widened ?? said(message)} ${message.offset ?? ''} ${message.region ?? ''}`,
        );
      },
    );
    this.nodes.push(node);
    if (trail.isRead) {
      node.subscriber.status$.subscribe(({ state, reason }) =>
        trail.trace(`${node.name} is ${state}: ${reason}`),
      );
      node.subscriber.errors$.subscribe(({ message }) =>
        trail.trace(`${node.name} reports ${message}`),
      );
    }
    void node.start();
  }

  read(): void {
    const { random } = this.world;
    const { alive } = this;
    if (alive.length > 0) random.pick(alive).read(random.pick(KEYS));
  }

  write(): void {
    const { random, trail } = this.world;
    const writers = this.alive.filter(({ writes }) => writes);
    if (writers.length === 0) return;
    const node = random.pick(writers);
    const burst = random.chance(0.1) ? random.whole(2, 8) : 1;
    for (let n = 0; n < burst; n++) {
      const [invalidation, keys] = changeFrom(random);
      trail.trace(() => `${node.name} writes ${said(invalidation)}`);
      node.write(invalidation, keys);
    }
  }

  #nodeOptions(): NodeOptions {
    const { schedule } = this.world;
    return {
      ...schedule,
      journaled: true,
      whenStale: 'widen',
      sabotage: null,
      regions: {
        local: this.name,
        sources: gated(
          sourcesOf(schedule, this.name),
          schedule.gates[this.name],
          this.world.others,
        ),
      },
    };
  }

  /** The first nodes, and the links of the first nodes of other regions. */
  #clients(): Client[] {
    const { schedule } = this.world;
    const nodes = (region: string): string[] =>
      Array.from(
        { length: schedule.nodes[region] ?? 0 },
        (_, n) => `${region}${n}`,
      );
    const own = nodes(this.name).map((name, index) => ({
      name,
      transport: () => this.nodes[index]?.transport ?? null,
    }));
    const links = Object.keys(schedule.nodes)
      .filter((region) => this.name in sourcesOf(schedule, region))
      .flatMap(nodes)
      .map((node) => `${node}>${this.name}`)
      .map((name) => ({
        name,
        transport: () => this.#links.get(name) ?? null,
      }));
    return [...own, ...links].map(({ name, transport }) => ({
      name,
      get transport() {
        return transport();
      },
    }));
  }

  /** Kills a node, if it takes no message with it that nobody else knows. */
  #kill(index: number): boolean {
    const node = this.nodes[index];
    if (node?.alive !== true) return false;
    const { durable } = this.world.schedule;
    if (node.writes && !durable) return false;
    node.kill();
    return true;
  }

  #appended(payload: string, offset: string): void {
    const { time, trail } = this.world;
    const message = decodeMessage(payload, Infinity);
    this.taken.push({ message, at: time.now });
    trail.note(offset);
    trail.trace(
      () =>
        `Redis of ${this.name} takes ${said(message)} ${offset} ${message.region} ${message.path?.join() ?? ''}`,
    );
  }
}
