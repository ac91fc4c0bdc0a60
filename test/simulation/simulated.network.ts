import type { InvalidationTransport } from '../../lib/transport/index.js';
import type { Random } from './random.js';
import { SimulatedServer } from './simulated.redis.js';
import type { VirtualTime } from './virtual.time.js';

export type Line = 'commands' | 'subscription';

/** Current faults between one instance and Redis. */
export class Weather {
  /** Shortest delay of a packet, in milliseconds. */
  latency = 0;
  /** Longest random delay of a packet, in milliseconds. */
  slow = 0;
  /**
   * Direction in which bytes vanish; a connection that lost some stays dead,
   * without notice.
   */
  swallows: 'up' | 'down' | 'both' | null = null;
  /** Time until which bytes wait. */
  stalledUntil = 0;
  refused = false;
  /** Share of messages that vanish inside a cluster, without any other fault. */
  losing = 0;
  /** Share of messages that are delivered twice, or late. */
  repeating = 0;
}

/** All servers, the current master for each instance, and the weather. */
export class SimulatedNetwork {
  master: SimulatedServer;
  /** Instances that still use an old master, with that master. */
  readonly misled = new Map<string, SimulatedServer>();
  /** Former masters that have not noticed their replacement yet. */
  readonly deposed = new Set<SimulatedServer>();
  /** Connects an instance to the network of another region. */
  link: (node: string, region: string) => InvalidationTransport = () => {
    throw new Error('There are no other regions.');
  };
  /** Time at which a message was last lost silently. */
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

  /** Removes an old master; its instances use the new one. */
  retire(server: SimulatedServer): void {
    this.deposed.delete(server);
    for (const [name, each] of this.misled) {
      if (each === server) this.misled.delete(name);
    }
    server.kill();
  }

  /** Ends all faults; dead connections stay dead. */
  heal(): void {
    for (const key of this.#weathers.keys()) {
      const { stalledUntil, latency } = this.#weathers.get(key)!;
      const weather = Object.assign(this.#weathers.get(key)!, new Weather());
      weather.latency = latency;
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

/** A TCP connection: two pipes that keep the order, and lose bytes only by a fault. */
export class Connection {
  #open = true;
  #dead = { up: false, down: false };
  #last = { up: 0, down: 0 };
  /** Whether data on its way still arrives after the client has closed. */
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

  /** Sends a command to the server, which executes it on arrival. */
  up(command: () => void): void {
    this.#send('up', () => {
      if (!this.#open && !this.#lingers) return;
      if (!this.server.up || this.server.life !== this.#life) {
        return this.closed();
      }
      this.server.handle(command);
    });
  }

  /** Sends data to the client. */
  down(arrive: () => void): void {
    this.#send('down', () => {
      if (this.#open) arrive();
    });
  }

  /** Closes the connection from the client's side. */
  close(): void {
    this.#open = false;
  }

  /**
   * Closes the connection from the server's side; the client notices as late as
   * of any data.
   */
  closed(): void {
    this.down(() => {
      this.#open = false;
      this.onClosed(new Error('read ECONNRESET'));
    });
  }

  /** Cuts the connection in the middle: both sides notice at once. */
  cut(): void {
    if (!this.#open) return;
    this.#open = false;
    this.onClosed(new Error('read ECONNRESET'));
  }

  #send(way: 'up' | 'down', arrive: () => void): void {
    const { time, random } = this.network;
    const { latency, slow, swallows, stalledUntil } = this.weather;
    if (swallows === way || swallows === 'both') this.#dead[way] = true;
    if (this.#dead[way]) return;
    const at = Math.max(
      time.now + latency + random.between(0.2, 1.5) + random.between(0, slow),
      stalledUntil,
      this.#last[way],
    );
    this.#last[way] = at;
    time.at(at, arrive);
  }
}
