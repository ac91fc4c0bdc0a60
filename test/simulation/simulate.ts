import { Logger } from '@nestjs/common';
import { decodeMessage, readOwnId } from '../../lib/message/index.js';
import { Faults, type FaultHost } from './faults.js';
import { HostilePublisher } from './hostile.publisher.js';
import { Random } from './random.js';
import { SeenStates } from './seen-states.js';
import {
  describeSchedule,
  HARMLESS,
  scheduleFrom,
  type Schedule,
  type Trouble,
} from './schedule.js';
import { SimulatedNetwork } from './simulated.network.js';
import {
  Counts,
  ForeignService,
  PUBLISH_TIMEOUT,
  SimulatedDatabase,
  SimulatedNode,
  type Sabotage,
} from './simulated.node.js';
import { Trail, type Trace } from './trail.js';
import { VirtualTime } from './virtual.time.js';
import { changeFrom, KEYS, said } from './workload.js';

export interface SimulationOptions {
  readonly journaled?: boolean;
  readonly sabotage?: Sabotage | null;
  readonly trace?: Trace | null;
}

/** Result of one schedule. */
export interface Outcome {
  readonly seed: number;
  /** Descriptions of all problems; empty for a successful schedule. */
  readonly problems: readonly string[];
  readonly schedule: string;
  readonly stale: number;
  readonly invalidations: number;
  readonly delivered: number;
  readonly replayed: number;
  readonly widened: number;
  /**
   * Milliseconds from healing until all caches are coherent; `null` if they
   * never are.
   */
  readonly healing: number | null;
  readonly slowestPublish: number;
  readonly events: number;
  /** Hash of all events: equal for equal seeds, unless the run is not deterministic. */
  readonly fingerprint: number;
  /** Virtual milliseconds from the start to the end. */
  readonly lasted: number;
  /** Hashes of the distinct states after each event; see `SeenStates`. */
  readonly states: readonly number[];
}

/** Limit for the recovery; each timeout on the way is shorter. */
export const PATIENCE_MS = 60_000;
export const GLANCE_MS = 50;

const PROMPT_MS = 500;

/** Plays the schedule of one seed from the start to the end. */
export async function simulate(
  seed: number,
  options: SimulationOptions = {},
): Promise<Outcome> {
  return onVirtualTime(seed, (time, rejections) =>
    new Simulation(seed, time, options, rejections).play(),
  );
}

/** Plays something while all clocks are those of a virtual time. */
export async function onVirtualTime<T>(
  seed: number,
  play: (time: VirtualTime, rejections: readonly unknown[]) => Promise<T>,
): Promise<T> {
  Logger.overrideLogger(false);
  const time = new VirtualTime(seed);
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => {
    rejections.push(reason);
  };
  process.on('unhandledRejection', onRejection);
  time.install();
  try {
    return await play(time, rejections);
  } finally {
    time.uninstall();
    process.off('unhandledRejection', onRejection);
  }
}

class Simulation {
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #network: SimulatedNetwork;
  readonly #database: SimulatedDatabase;
  readonly #trail: Trail;
  readonly #foreign: ForeignService;
  readonly #faults: Faults;
  readonly #counts = new Counts();
  readonly #seen = new SeenStates();
  readonly #nodes: SimulatedNode[] = [];
  /** Messages that Redis took and did not visibly lose, in order. */
  readonly #taken: { id: string; payload: string; at: number }[] = [];
  #problems: string[] = [];
  #over = false;

  constructor(
    private readonly seed: number,
    private readonly time: VirtualTime,
    private readonly options: SimulationOptions,
    private readonly rejections: readonly unknown[],
  ) {
    this.#schedule = scheduleFrom(new Random(seed));
    this.#random = new Random(~seed);
    this.#trail = new Trail(time, options.trace ?? null);
    this.#network = new SimulatedNetwork(
      time,
      new Random(seed ^ 0x5eed),
      this.#schedule.maxLength,
      (payload, offset) => this.#appended(payload, offset),
    );
    this.#database = new SimulatedDatabase(() => time.now);
    this.#foreign = new ForeignService(this.#network, this.#database);
    this.#faults = new Faults(this.#network, this.#faultHost());
  }

  async play(): Promise<Outcome> {
    const { time } = this;
    time.afterEvent = () => this.#seen.add(this.#network.master, this.#nodes);
    const {
      nodes,
      bootDelay,
      lasts,
      troubles,
      writeEvery,
      readEvery,
      foreign,
    } = this.#schedule;
    if (bootDelay > 0) {
      this.#network.master.kill();
      time.at(bootDelay, () => this.#network.master.start());
    }
    for (let n = 0; n < nodes; n++) this.#join();
    this.#repeat(writeEvery, () => this.#write());
    for (let n = 0; n < nodes; n++) this.#repeat(readEvery, () => this.#read());
    if (foreign) this.#repeat(400, () => this.#writeAbroad());
    if (this.#provable) this.#repeat(300, () => this.#checkStaleness());
    for (const { at, what } of troubles) {
      time.at(at, () => this.#happen(what));
    }
    await time.run(lasts);
    this.#over = true;
    this.#trail.trace('all faults end');
    this.#network.heal();
    const healing = await this.#heal();
    const stale = staleOf(this.#alive).length;
    await this.#stop();
    return {
      seed: this.seed,
      problems: this.#problems,
      schedule: describeSchedule(this.#schedule),
      stale,
      invalidations: this.#database.writes,
      delivered: this.#counts.deliveries,
      replayed: this.#counts.replays,
      widened: this.#counts.widenings,
      healing,
      slowestPublish: this.#slowestPublish,
      events: time.events,
      fingerprint: this.#trail.fingerprint,
      lasted: time.now,
      states: this.#seen.hashes,
    };
  }

  #happen(what: Trouble): void {
    this.#trail.trace(() => JSON.stringify(what));
    this.#faults.happen(what);
  }

  #faultHost(): FaultHost {
    const isOver = (): boolean => this.#over;
    return {
      get over() {
        return isOver();
      },
      lasts: this.#schedule.lasts,
      clients: this.#nodes,
      foreign: this.#foreign,
      hostile: new HostilePublisher(this.#network),
      kill: (index) => this.#kill(index),
      join: () => this.#join(),
    };
  }

  #kill(index: number): boolean {
    const node = this.#nodes[index];
    if (node?.alive !== true || this.#alive.length === 1) return false;
    node.kill();
    return true;
  }

  get #alive(): SimulatedNode[] {
    return this.#nodes.filter(({ alive }) => alive);
  }

  get #slowestPublish(): number {
    return Math.max(...this.#nodes.map((node) => node.slowestPublish));
  }

  /** Whether an instance can prove that it has received all messages. */
  get #provable(): boolean {
    return !this.#schedule.troubles.some(
      ({ what: { kind } }) => kind === 'failover' || kind === 'restart-server',
    );
  }

  /** Whether every message arrives at once under the troubles of the schedule. */
  get #prompt(): boolean {
    const { troubles, bootDelay } = this.#schedule;
    return (
      bootDelay === 0 &&
      troubles.every(({ what: { kind } }) => HARMLESS.includes(kind))
    );
  }

  #join(): void {
    const { heartbeatInterval, heartbeatTimeout, outboxLimit, maxStaleness } =
      this.#schedule;
    const node = new SimulatedNode(
      `n${this.#nodes.length}`,
      this.#network,
      this.#database,
      {
        journaled: this.options.journaled ?? true,
        heartbeatInterval,
        heartbeatTimeout,
        outboxLimit,
        maxStaleness,
        whenStale: 'widen',
        durable: this.#schedule.durable,
        sabotage: this.options.sabotage ?? null,
      },
      this.#counts,
      (message) => {
        this.#trail.note(
          `${node.name} hears ${message.messageId} ${message.widened}`,
        );
        this.#trail.trace(
          () =>
            `${node.name} receives ${message.widened ?? said(message)} ${message.offset ?? ''}`,
        );
      },
    );
    this.#nodes.push(node);
    if (this.#trail.isRead) {
      node.subscriber.status$.subscribe(({ state, reason }) =>
        this.#trail.trace(`${node.name} is ${state}: ${reason}`),
      );
      node.subscriber.errors$.subscribe(({ message }) =>
        this.#trail.trace(`${node.name} reports ${message}`),
      );
    }
    void node.start();
  }

  /** Repeats an action at random times until the end. */
  #repeat(mean: number, action: () => void): void {
    const again = (): void => {
      if (this.#over) return;
      action();
      this.time.after(this.#random.until(mean), again);
    };
    this.time.after(this.#random.until(mean), again);
  }

  #read(): void {
    this.#random.pick(this.#alive).read(this.#random.pick(KEYS));
  }

  #write(): void {
    const random = this.#random;
    const node = random.pick(this.#alive);
    // Messages that are published in one tick leave in one call.
    const burst = random.chance(0.1) ? random.whole(2, 8) : 1;
    for (let n = 0; n < burst; n++) {
      const [invalidation, keys] = changeFrom(random);
      this.#trail.trace(() => `${node.name} writes ${said(invalidation)}`);
      node.write(invalidation, keys);
    }
  }

  #writeAbroad(): void {
    this.#foreign.write(this.#random.pick(KEYS), this.#nodes);
  }

  /** @returns milliseconds until all was well, and stayed so */
  async #heal(): Promise<number | null> {
    const { time } = this;
    const healed = time.now;
    let well: number | null = null;
    while (time.now < healed + PATIENCE_MS) {
      await time.run(time.now + GLANCE_MS);
      well =
        complaintsOf(this.#alive, this.#database).length === 0
          ? (well ?? time.now)
          : null;
      // The state must last, and not be a coincidence.
      const { heartbeatInterval } = this.#schedule;
      if (well !== null && time.now - well > heartbeatInterval + 100) break;
    }
    if (well === null)
      this.#problems.push(...complaintsOf(this.#alive, this.#database));
    if (this.#slowestPublish > PUBLISH_TIMEOUT + 0.001) {
      this.#problems.push(`a publish took ${this.#slowestPublish} ms`);
    }
    for (const reason of this.rejections) {
      this.#problems.push(`an unhandled rejection: ${String(reason)}`);
    }
    return well === null ? null : well - healed;
  }

  #appended(payload: string, offset: string): void {
    this.#taken.push({
      id: readOwnId(payload),
      payload,
      at: this.time.now,
    });
    this.#trail.note(offset);
    this.#trail.trace(
      () => `Redis takes ${said(decodeMessage(payload, Infinity))} ${offset}`,
    );
  }

  /**
   * Checks that the staleness reported by an instance is true, and that no
   * message waits for a heartbeat if no connection has a fault.
   */
  #checkStaleness(): void {
    for (const node of this.#alive) {
      if (node.servingSince === null) continue;
      const age = node.subscriber.staleness();
      const asOf = this.time.now - (this.#prompt ? PROMPT_MS : age);
      const since = Math.max(node.servingSince, node.widenedAt);
      // A covered message stays covered.
      for (; node.checked < this.#taken.length; node.checked++) {
        const { id, payload, at } = this.#taken[node.checked]!;
        if (at >= asOf) break;
        if (at <= since || node.heard.has(id)) continue;
        if (payload.endsWith(node.signature)) continue;
        this.#problems.push(
          `at ${this.time.now} ${node.name} should have received all messages until ${asOf}, but lacks ${id} of ${at}`,
        );
        return;
      }
    }
  }

  async #stop(): Promise<void> {
    for (const node of this.#alive) node.kill();
    await this.time.run(this.time.now + 100);
  }
}

/** Everything that is wrong some time after healing. */
export function complaintsOf(
  alive: readonly SimulatedNode[],
  { outbox }: SimulatedDatabase,
): string[] {
  const complaints = staleOf(alive);
  if (outbox.size > 0) {
    complaints.push(`the durable outbox still holds ${outbox.size} messages`);
  }
  for (const { name, subscriber, publisher, unsettled } of alive) {
    const { state, reason } = subscriber.status;
    if (state !== 'live' || reason !== null) {
      complaints.push(`${name} is ${state}: ${reason}`);
    }
    if (publisher.pending > 0) {
      complaints.push(
        `the outbox of ${name} still holds ${publisher.pending} messages`,
      );
    }
    if (unsettled > 0) {
      complaints.push(`${unsettled} publishes of ${name} have no receipt`);
    }
  }
  return complaints;
}

function staleOf(alive: readonly SimulatedNode[]): string[] {
  return alive.flatMap(({ name, stale }) =>
    stale.map((key) => `${name} has a stale entry ${key}`),
  );
}
