import { Logger } from '@nestjs/common';
import {
  batch,
  decodeMessage,
  readOwnId,
  entity,
  everything,
  patternOf,
  type Invalidation,
} from '../../lib/message/index.js';
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
import {
  SimulatedNetwork,
  type Line,
  type Weather,
} from './simulated.network.js';
import {
  Counts,
  ForeignService,
  PUBLISH_TIMEOUT,
  SimulatedDatabase,
  SimulatedNode,
  type Sabotage,
} from './simulated.node.js';
import { VirtualTime } from './virtual.time.js';

export interface SimulationOptions {
  readonly journaled?: boolean;
  readonly sabotage?: Sabotage | null;
  /** Called with a line for each event. */
  readonly trace?: ((line: string) => void) | null;
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

const KEYS = [
  ...Array.from({ length: 12 }, (_, n) => `user:${n}`),
  ...Array.from({ length: 6 }, (_, n) => `session:${n}`),
];

/** Limit for the recovery; each timeout on the way is shorter. */
const PATIENCE_MS = 60_000;
const GLANCE_MS = 50;

const PROMPT_MS = 500;

/** Plays the schedule of one seed from the start to the end. */
export async function simulate(
  seed: number,
  options: SimulationOptions = {},
): Promise<Outcome> {
  Logger.overrideLogger(false);
  const time = new VirtualTime(seed);
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => {
    rejections.push(reason);
  };
  process.on('unhandledRejection', onRejection);
  time.install();
  try {
    return await new Simulation(seed, time, options, rejections).play();
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
  readonly #foreign: ForeignService;
  readonly #hostile: HostilePublisher;
  readonly #counts = new Counts();
  readonly #seen = new SeenStates();
  readonly #nodes: SimulatedNode[] = [];
  /** Messages that Redis took and did not visibly lose, in order. */
  readonly #taken: { id: string; payload: string; at: number }[] = [];
  #problems: string[] = [];
  #fingerprint = 0;
  #over = false;
  #servers = 1;

  constructor(
    private readonly seed: number,
    private readonly time: VirtualTime,
    private readonly options: SimulationOptions,
    private readonly rejections: readonly unknown[],
  ) {
    this.#schedule = scheduleFrom(new Random(seed));
    this.#random = new Random(~seed);
    this.#network = new SimulatedNetwork(
      time,
      new Random(seed ^ 0x5eed),
      this.#schedule.maxLength,
      (payload, offset) => this.#appended(payload, offset),
    );
    this.#database = new SimulatedDatabase(() => time.now);
    this.#foreign = new ForeignService(this.#network, this.#database);
    this.#hostile = new HostilePublisher(this.#network);
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
    this.#trace('all faults end');
    this.#network.heal();
    const healing = await this.#heal();
    const stale = this.#stale().length;
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
      fingerprint: this.#fingerprint >>> 0,
      lasted: time.now,
      states: this.#seen.hashes,
    };
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

  /**
   * Whether a new journal can be told from the old one. A known limit: two
   * empty journals look alike. An instance that is still at the beginning of
   * one, has lost its first entries silently, and then sees it removed, learns
   * nothing of them from the next.
   */
  get #tellable(): boolean {
    const { master, lostAt } = this.#network;
    return lostAt < master.journalBegan;
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
        this.#note(
          `${node.name} hears ${message.messageId} ${message.widened}`,
        );
        this.#trace(
          () =>
            `${node.name} receives ${message.widened ?? said(message)} ${message.offset ?? ''}`,
        );
      },
    );
    this.#nodes.push(node);
    if (this.options.trace) {
      node.subscriber.status$.subscribe(({ state, reason }) =>
        this.#trace(`${node.name} is ${state}: ${reason}`),
      );
      node.subscriber.errors$.subscribe(({ message }) =>
        this.#trace(`${node.name} reports ${message}`),
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
      const [invalidation, keys] = this.#change();
      this.#trace(() => `${node.name} writes ${said(invalidation)}`);
      node.write(invalidation, keys);
    }
  }

  #change(): [Invalidation, string[]] {
    const random = this.#random;
    const key = random.pick(KEYS);
    const [type = '', id = ''] = key.split(':');
    const dice = random.next();
    if (dice < 0.8) {
      return [entity(type === 'user' ? 'User' : type, id), [key]];
    }
    if (dice < 0.9) {
      const keys = [...new Set([key, random.pick(KEYS), random.pick(KEYS)])];
      return [batch(keys), keys];
    }
    if (dice < 0.98) {
      const glob = random.pick([`${type}:*`, 'user:1*', '*:2']);
      const named =
        glob === `${type}:*` ? type : glob === '*:2' ? ':2' : 'user:1';
      return [
        patternOf(glob),
        KEYS.filter((each) =>
          glob === '*:2' ? each.endsWith(named) : each.startsWith(named),
        ),
      ];
    }
    return [everything(), KEYS];
  }

  #writeAbroad(): void {
    this.#foreign.write(this.#random.pick(KEYS), this.#nodes);
  }

  #happen(what: Trouble): void {
    this.#trace(() => JSON.stringify(what));
    const { time } = this;
    const network = this.#network;
    const { master } = network;
    const later = (lasts: number, undo: () => void): void => {
      time.after(lasts, () => {
        if (!this.#over) undo();
      });
    };
    switch (what.kind) {
      case 'cut':
        this.#nodes[what.node]?.transport.cut(what.line);
        break;
      case 'cut-subscriptions':
        for (const node of this.#alive) node.transport.cut('subscription');
        break;
      case 'swallow':
        for (const weather of this.#weathers(what)) {
          weather.swallows = what.way;
          later(what.lasts, () => (weather.swallows = null));
        }
        break;
      case 'stall':
        for (const weather of this.#weathers(what)) {
          weather.stalledUntil = Math.min(
            time.now + what.lasts,
            this.#schedule.lasts,
          );
        }
        break;
      case 'refuse':
        for (const weather of this.#weathers(what)) {
          weather.refused = true;
          later(what.lasts, () => (weather.refused = false));
        }
        for (const line of linesOf(what.line)) {
          this.#nodes[what.node]?.transport.cut(line);
        }
        break;
      case 'slow':
        for (const weather of this.#weathers({ ...what, line: 'all' })) {
          weather.slow = what.by;
          later(what.lasts, () => (weather.slow = 0));
        }
        break;
      case 'lose-announcements':
        for (const weather of this.#weathers({ ...what, line: 'all' })) {
          weather.losing = what.share;
          later(what.lasts, () => (weather.losing = 0));
        }
        break;
      case 'repeat-announcements':
        for (const weather of this.#weathers({ ...what, line: 'all' })) {
          weather.repeating = what.share;
          later(what.lasts, () => (weather.repeating = 0));
        }
        break;
      case 'stop-server':
        master.stop();
        later(what.lasts, () => master.continue());
        break;
      case 'restart-server':
        master.kill();
        if (what.lost > 1_000) master.removeJournal();
        else master.restore(master.journal, what.lost);
        later(what.lasts, () => {
          master.start();
          master.loading = what.loading > 0;
          later(what.loading, () => (master.loading = false));
        });
        break;
      case 'refuse-publishes':
        master.refusal = what.with;
        later(what.lasts, () => (master.refusal = null));
        break;
      case 'failover':
        this.#failover(what);
        break;
      case 'server-clock':
        master.skew = what.skew;
        break;
      case 'wall-clock':
        time.wallShift = what.shift;
        break;
      case 'remove-journal':
        if (!this.#tellable) break;
        master.removeJournal();
        break;
      case 'trim-journal':
        if (what.keep === 0 && !this.#tellable) break;
        master.trim(what.keep);
        break;
      case 'noise':
        this.#foreign.noise(what.what);
        break;
      case 'forge':
        for (let n = 0; n < what.times; n++) {
          later(n * what.every, () => this.#hostile.publish());
        }
        break;
      case 'forge-entry':
        for (let n = 0; n < what.times; n++) {
          later(n * 500, () => this.#forgeEntry(what));
        }
        break;
      case 'kill-node':
        if (this.#nodes[what.node]?.alive !== true) break;
        if (this.#alive.length === 1) break;
        this.#nodes[what.node]?.kill();
        later(500, () => this.#join());
        break;
      case 'join-node':
        this.#join();
        break;
    }
  }

  /** Forges the entry after the position of the instances that are away. */
  #forgeEntry({
    keep,
    cutBefore,
  }: Trouble & { readonly kind: 'forge-entry' }): void {
    const position = this.#network.master.tail;
    const forge = (): void => {
      if (this.#tellable) this.#hostile.write(position, keep);
    };
    if (cutBefore === null) return forge();
    for (const node of this.#alive) node.transport.cut('subscription');
    this.time.after(cutBefore, forge);
  }

  #failover({
    lost,
    skew,
    misled,
    lasts,
  }: Trouble & { kind: 'failover' }): void {
    const network = this.#network;
    const old = network.master;
    network.master = old.replica(`m${this.#servers++}`, lost);
    network.master.skew = skew;
    for (const index of misled) {
      const node = this.#nodes[index];
      if (node !== undefined) network.misled.set(node.name, old);
    }
    for (const node of this.#nodes) {
      if (network.misled.get(node.name) === old) continue;
      network.misled.delete(node.name);
      node.transport.cut('commands');
      node.transport.cut('subscription');
    }
    network.deposed.add(old);
    this.time.after(misled.length === 0 ? 0 : lasts, () => network.retire(old));
  }

  #weathers({
    node,
    line,
  }: {
    readonly node: number;
    readonly line: Line | 'all';
  }): Weather[] {
    return linesOf(line).map((each) => this.#network.weather(`n${node}`, each));
  }

  /** @returns milliseconds until all was well, and stayed so */
  async #heal(): Promise<number | null> {
    const { time } = this;
    const healed = time.now;
    let well: number | null = null;
    while (time.now < healed + PATIENCE_MS) {
      await time.run(time.now + GLANCE_MS);
      well = this.#complaints().length === 0 ? (well ?? time.now) : null;
      // The state must last, and not be a coincidence.
      const { heartbeatInterval } = this.#schedule;
      if (well !== null && time.now - well > heartbeatInterval + 100) break;
    }
    if (well === null) this.#problems.push(...this.#complaints());
    if (this.#slowestPublish > PUBLISH_TIMEOUT + 0.001) {
      this.#problems.push(`a publish took ${this.#slowestPublish} ms`);
    }
    for (const reason of this.rejections) {
      this.#problems.push(`an unhandled rejection: ${String(reason)}`);
    }
    return well === null ? null : well - healed;
  }

  #complaints(): string[] {
    const complaints: string[] = this.#stale();
    const { outbox } = this.#database;
    if (outbox.size > 0) {
      complaints.push(`the durable outbox still holds ${outbox.size} messages`);
    }
    for (const { name, subscriber, publisher, unsettled } of this.#alive) {
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

  #stale(): string[] {
    return this.#alive.flatMap(({ name, stale }) =>
      stale.map((key) => `${name} has a stale entry ${key}`),
    );
  }

  #appended(payload: string, offset: string): void {
    this.#taken.push({
      id: readOwnId(payload),
      payload,
      at: this.time.now,
    });
    this.#note(offset);
    this.#trace(
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

  #note(text: string): void {
    let hash = this.#fingerprint ^ Math.floor(this.time.now * 1_000);
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 16_777_619);
    }
    this.#fingerprint = hash;
  }

  #trace(line: string | (() => string)): void {
    const { trace } = this.options;
    if (!trace) return;
    const text = typeof line === 'string' ? line : line();
    trace(`${this.time.now.toFixed(1).padStart(9)}  ${text}`);
  }
}

function linesOf(line: Line | 'all'): Line[] {
  return line === 'all' ? ['commands', 'subscription'] : [line];
}

function said({
  action,
  entityType,
  entityId,
  pattern,
  entityIds,
}: Invalidation): string {
  return `${action} ${pattern ?? entityIds?.join() ?? `${entityType}:${entityId}`}`;
}
