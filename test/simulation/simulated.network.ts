import type { Random } from './random.js';
import { SimulatedServer } from './simulated.redis.js';
import type { VirtualTime } from './virtual.time.js';

export type Line = 'commands' | 'subscription';

/** What is wrong, by now, with everything between one instance and Redis. */
export class Weather {
  /** Added to each packet's time, at random up to it. */
  slow = 0;
  /** Bytes vanish; whoever lost some is dead for good, and nobody is told. */
  swallows: 'up' | 'down' | 'both' | null = null;
  /** Bytes wait until then. */
  stalledUntil = 0;
  refused = false;
  /** Announcements that vanish inside a cluster, nothing else does. */
  losing = 0;
  /** Announcements that come twice, or late. */
  repeating = 0;
}

/** The servers there are, who is the master for whom, and the weather. */
export class SimulatedNetwork {
  master: SimulatedServer;
  /** Who still takes an old master for the master. */
  readonly misled = new Map<string, SimulatedServer>();
  /** Masters that were, and do not know it yet. */
  readonly deposed = new Set<SimulatedServer>();
  /** When an announcement was last lost silently. */
  lostAt = -1;
  readonly #weathers = new Map<string, Weather>();

  constructor(
    readonly time: VirtualTime,
    readonly random: Random,
    maxLength: number,
    onAppended: (payload: string, offset: string) => void,
  ) {
    this.master = new SimulatedServer(
      'm0',
      time,
      random,
      maxLength,
      onAppended,
    );
  }

  weather(node: string, line: Line): Weather {
    const key = `${node} ${line}`;
    let weather = this.#weathers.get(key);
    if (weather === undefined) {
      weather = new Weather();
      this.#weathers.set(key, weather);
    }
    return weather;
  }

  serverFor(node: string): SimulatedServer {
    return this.misled.get(node) ?? this.master;
  }

  /** An old master goes; whoever was misled is led right. */
  retire(server: SimulatedServer): void {
    this.deposed.delete(server);
    for (const [name, each] of this.misled) {
      if (each === server) this.misled.delete(name);
    }
    server.kill();
  }

  /** Everything is well again from now on; what is dead stays dead. */
  heal(): void {
    for (const key of this.#weathers.keys()) {
      const { stalledUntil } = this.#weathers.get(key)!;
      const weather = Object.assign(this.#weathers.get(key)!, new Weather());
      weather.stalledUntil = Math.min(stalledUntil, this.time.now);
    }
    for (const server of this.deposed) this.retire(server);
    const { master } = this;
    master.continue();
    master.start();
    master.refusal = null;
    master.loading = false;
  }
}

/** One TCP connection: two pipes that keep the order, and lose in no other way. */
export class Connection {
  #open = true;
  #dead = { up: false, down: false };
  #last = { up: 0, down: 0 };
  /** Whether what was under way when the client closed still arrives. */
  readonly #lingers: boolean;
  readonly #life: number;

  constructor(
    private readonly network: SimulatedNetwork,
    private readonly weather: Weather,
    readonly server: SimulatedServer,
    private readonly onClosed: (cause: Error) => void,
  ) {
    this.#life = server.life;
    this.#lingers = network.random.chance(0.5);
  }

  /** To the server, which does it when it comes to it. */
  up(command: () => void): void {
    this.#send('up', () => {
      if (!this.#open && !this.#lingers) return;
      if (!this.server.up || this.server.life !== this.#life) {
        return this.closed();
      }
      this.server.handle(command);
    });
  }

  /** To the client. */
  down(arrive: () => void): void {
    this.#send('down', () => {
      if (this.#open) arrive();
    });
  }

  /** The client lets go of it. */
  close(): void {
    this.#open = false;
  }

  /** The other side has closed it; the news travels like everything else. */
  closed(): void {
    this.down(() => {
      this.#open = false;
      this.onClosed(new Error('read ECONNRESET'));
    });
  }

  /** Somebody between has cut it: both sides learn of it at once. */
  cut(): void {
    if (!this.#open) return;
    this.#open = false;
    this.onClosed(new Error('read ECONNRESET'));
  }

  #send(way: 'up' | 'down', arrive: () => void): void {
    const { time, random } = this.network;
    const { slow, swallows, stalledUntil } = this.weather;
    if (swallows === way || swallows === 'both') this.#dead[way] = true;
    if (this.#dead[way]) return;
    const at = Math.max(
      time.now + random.between(0.2, 1.5) + random.between(0, slow),
      stalledUntil,
      this.#last[way],
    );
    this.#last[way] = at;
    time.at(at, arrive);
  }
}
