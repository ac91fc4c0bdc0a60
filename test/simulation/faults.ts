import type { HostilePublisher } from './hostile.publisher.js';
import type { Trouble } from './schedule.js';
import type { Line, SimulatedNetwork, Weather } from './simulated.network.js';
import type { ForeignService } from './simulated.node.js';
import type { SimulatedTransport } from './simulated.transport.js';

/** A process, as far as its connections to one Redis go. */
export interface Client {
  /** The name of its weather. */
  readonly name: string;
  /** `null` while it has no connections. */
  readonly transport: SimulatedTransport | null;
}

/** A run, as far as faults change it. */
export interface FaultHost {
  /** Whether everything has healed. */
  readonly over: boolean;
  /** Time at which everything heals. */
  readonly lasts: number;
  /** Everything that connects to the Redis; troubles name them by their index. */
  readonly clients: readonly Client[];
  readonly foreign: ForeignService;
  readonly hostile: HostilePublisher;
  /** @returns whether that process was killed */
  kill(index: number): boolean;
  join(): void;
}

/** Lets the troubles of a schedule happen to one Redis and its clients. */
export class Faults {
  #servers = 1;

  constructor(
    private readonly network: SimulatedNetwork,
    private readonly host: FaultHost,
  ) {}

  happen(what: Trouble): void {
    const { host, network } = this;
    const { time, master } = network;
    const later = (lasts: number, undo: () => void): void => {
      time.after(lasts, () => {
        if (!host.over) undo();
      });
    };
    switch (what.kind) {
      case 'cut':
        this.#client(what.node)?.transport?.cut(what.line);
        break;
      case 'cut-subscriptions':
        for (const { transport } of host.clients) {
          transport?.cut('subscription');
        }
        break;
      case 'swallow':
        for (const weather of this.#weathers(what)) {
          weather.swallows = what.way;
          later(what.lasts, () => (weather.swallows = null));
        }
        break;
      case 'stall':
        for (const weather of this.#weathers(what)) {
          weather.stalledUntil = Math.min(time.now + what.lasts, host.lasts);
        }
        break;
      case 'refuse':
        for (const weather of this.#weathers(what)) {
          weather.refused = true;
          later(what.lasts, () => (weather.refused = false));
        }
        for (const line of linesOf(what.line)) {
          this.#client(what.node)?.transport?.cut(line);
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
        if (what.lost > 1_000) master.removeAll();
        else master.restore(master, what.lost);
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
        host.foreign.noise(what.what);
        break;
      case 'forge':
        for (let n = 0; n < what.times; n++) {
          later(n * what.every, () => host.hostile.publish());
        }
        break;
      case 'forge-entry':
        for (let n = 0; n < what.times; n++) {
          later(n * 500, () => this.#forgeEntry(what));
        }
        break;
      case 'kill-node':
        if (host.kill(what.node)) later(500, () => host.join());
        break;
      case 'join-node':
        host.join();
        break;
    }
  }

  /** Forges the entry after the position of the instances that are away. */
  #forgeEntry({
    keep,
    cutBefore,
  }: Trouble & { readonly kind: 'forge-entry' }): void {
    const position = this.network.master.tail;
    const forge = (): void => {
      if (this.#tellable) this.host.hostile.write(position, keep);
    };
    if (cutBefore === null) return forge();
    for (const { transport } of this.host.clients)
      transport?.cut('subscription');
    this.network.time.after(cutBefore, forge);
  }

  #failover({
    lost,
    skew,
    misled,
    lasts,
  }: Trouble & { kind: 'failover' }): void {
    const { network } = this;
    const old = network.master;
    network.master = old.replica(`m${this.#servers++}`, lost);
    network.master.skew = skew;
    for (const index of misled) {
      const client = this.#client(index);
      if (client !== undefined) network.misled.set(client.name, old);
    }
    for (const { name, transport } of this.host.clients) {
      if (network.misled.get(name) === old) continue;
      network.misled.delete(name);
      transport?.cut('commands');
      transport?.cut('subscription');
    }
    network.deposed.add(old);
    this.network.time.after(misled.length === 0 ? 0 : lasts, () =>
      network.retire(old),
    );
  }

  #weathers({
    node,
    line,
  }: {
    readonly node: number;
    readonly line: Line | 'all';
  }): Weather[] {
    const client = this.#client(node);
    if (client === undefined) return [];
    return linesOf(line).map((each) => this.network.weather(client.name, each));
  }

  #client(index: number): Client | undefined {
    return this.host.clients[index];
  }

  /**
   * Whether a new journal can be told from the old one. A known limit: two
   * empty journals look alike. An instance that is still at the beginning of
   * one, has lost its first entries silently, and then sees it removed, learns
   * nothing of them from the next.
   */
  get #tellable(): boolean {
    const { master, lostAt } = this.network;
    return lostAt < master.journalBegan;
  }
}

function linesOf(line: Line | 'all'): Line[] {
  return line === 'all' ? ['commands', 'subscription'] : [line];
}
