import { reconnectDelay } from '../../lib/common/index.js';
import {
  InvalidationTransport,
  type JournalEntry,
  type PublishReply,
  type RelayRecord,
  type TransportListener,
} from '../../lib/transport/index.js';
import { SimulatedRelayRecord } from './regions.records.js';
import { Connection, type SimulatedNetwork } from './simulated.network.js';
import type { SimulatedServer, Subscriber } from './simulated.redis.js';

/** Time after which a publish without an answer fails, as in `RedisTransport`. */
const UNANSWERED_MS = 10_000;
/** Time for a connection to open, as in `RedisSubscription` and in ioredis. */
const OPENING_MS = { subscription: 5_000, commands: 10_000 };

interface Link extends Partial<Subscriber> {
  readonly connection: Connection;
  opening: NodeJS.Timeout | null;
}

/**
 * The counterpart of `RedisTransport` on the simulated network: a connection
 * for commands and one for the subscription, each reopened when it ends, with
 * the same behaviour, including some faults of ioredis.
 */
export class SimulatedTransport extends InvalidationTransport {
  #listener: TransportListener | null = null;
  #closed = false;
  #commands: Link | null = null;
  #ready = false;
  #subscription: Link | null = null;
  #subscribed = false;
  #retries: { [K in 'commands' | 'subscription']: NodeJS.Timeout | null } = {
    commands: null,
    subscription: null,
  };
  #attempts = { commands: 0, subscription: 0 };
  /** Callbacks that fail the pending publishes, and commands of relays. */
  readonly #sent = new Set<(error: Error) => void>();
  /** Callbacks that fail the pending queries. */
  readonly #asking = new Set<(error: Error) => void>();
  readonly #pings = new Set<(error: Error) => void>();

  constructor(
    private readonly node: string,
    private readonly network: SimulatedNetwork,
    readonly journaled: boolean,
  ) {
    super();
  }

  get writable(): boolean {
    return !this.#closed && this.#ready;
  }

  start(listener: TransportListener): void {
    this.#listener = listener;
    this.#open('commands');
    this.#open('subscription');
  }

  publish(
    payloads: readonly string[],
    triedSince: string | null = null,
  ): Promise<PublishReply[]> {
    return this.#answered((server) =>
      server.publish(payloads, triedSince, this.journaled),
    ).catch((error: Error) => payloads.map(() => error));
  }

  readJournal(from: string, count: number): Promise<JournalEntry[]> {
    return this.#question((server) => server.read(from, count));
  }

  journalTail(): Promise<string> {
    return this.#question((server) => server.readTail());
  }

  ping(): Promise<void> {
    const link = this.#subscription;
    if (link === null || !this.#subscribed) {
      return Promise.reject(new Error('Not subscribed.'));
    }
    return new Promise((resolve, reject) => {
      this.#pings.add(reject);
      link.connection.up(() => {
        link.connection.down(() => {
          this.#pings.delete(reject);
          resolve();
        });
      });
    });
  }

  reconnect(line: 'commands' | 'subscription'): void {
    if (this.#closed) return;
    const link = line === 'commands' ? this.#commands : this.#subscription;
    if (link !== null) return this.#ended(line, link, null);
    if (line === 'commands') this.#hasten(line);
  }

  missingRights(): Promise<string[]> {
    return Promise.resolve([]);
  }

  ofRegion(name: string): InvalidationTransport {
    return this.network.link(this.node, name);
  }

  relayRecord(source: string, id: string): RelayRecord {
    const { time } = this.network;
    return new SimulatedRelayRecord(
      source,
      id,
      () => time.now,
      (job) => this.#answered((server) => server.command(job)),
    );
  }

  l2Store(): never {
    throw new Error('Near caches are not simulated.');
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.die();
    for (const fail of this.#sent) fail(new Error('Closed.'));
  }

  /** Ends everything at once, as a killed process does. */
  die(): void {
    this.#closed = true;
    for (const line of ['commands', 'subscription'] as const) {
      const retry = this.#retries[line];
      if (retry !== null) clearTimeout(retry);
    }
    for (const link of [this.#commands, this.#subscription]) {
      if (link !== null) this.#letGo(link);
    }
    this.#commands = null;
    this.#subscription = null;
    this.#ready = false;
    this.#subscribed = false;
  }

  /** Cuts the connection, as `CLIENT KILL` or a proxy does. */
  cut(line: 'commands' | 'subscription'): void {
    (line === 'commands'
      ? this.#commands
      : this.#subscription
    )?.connection.cut();
  }

  #open(line: 'commands' | 'subscription'): void {
    this.#retries[line] = null;
    if (this.#closed) return;
    const { network, node } = this;
    const weather = network.weather(node, line);
    const server = network.serverFor(node);
    const connection = new Connection(network, weather, server, (cause) =>
      this.#ended(line, link, cause),
    );
    const link: Link = {
      connection,
      opening: setTimeout(
        () => this.#ended(line, link, new Error('connect ETIMEDOUT')),
        OPENING_MS[line],
      ),
      push: (payload) => this.#push(link, payload),
      closed: () => connection.closed(),
    };
    if (line === 'commands') this.#commands = link;
    else this.#subscription = link;
    if (!server.up || weather.refused) {
      network.time.after(1, () =>
        this.#ended(line, link, new Error('connect ECONNREFUSED')),
      );
      return;
    }
    connection.up(() => {
      if (line === 'commands') server.clients.add(connection);
      else server.subscribers.add(link as Subscriber);
      connection.down(() => {
        this.#opened(link);
        if (line === 'commands') this.#becameReady();
        else this.#acknowledged(link);
      });
    });
  }

  #opened(link: Link): void {
    if (link.opening !== null) clearTimeout(link.opening);
    link.opening = null;
  }

  #becameReady(): void {
    this.#ready = true;
    this.#attempts.commands = 0;
    this.#hasten('subscription');
    this.#listener?.onWritable();
  }

  #acknowledged(link: Link): void {
    if (this.#subscription !== link || this.#subscribed) return;
    this.#subscribed = true;
    this.#attempts.subscription = 0;
    this.#hasten('commands');
    this.#listener?.onSubscribed();
  }

  #push(link: Link, payload: string): void {
    const { network, node } = this;
    const { losing, repeating } = network.weather(node, 'subscription');
    if (losing > 0 && network.random.chance(losing)) {
      network.lostAt = network.time.now;
      return;
    }
    const arrive = (): void => {
      if (this.#subscription !== link || this.#closed) return;
      this.#acknowledged(link);
      this.#listener?.onMessage(payload);
    };
    link.connection.down(arrive);
    if (repeating === 0 || !network.random.chance(repeating)) return;
    network.time.after(network.random.between(0, 50), () =>
      link.connection.down(arrive),
    );
  }

  #ended(
    line: 'commands' | 'subscription',
    link: Link,
    cause: Error | null,
  ): void {
    const current = line === 'commands' ? this.#commands : this.#subscription;
    if (current !== link || this.#closed) return;
    this.#letGo(link);
    if (line === 'commands') {
      this.#commands = null;
      this.#ready = false;
      this.#failAsked(this.#asking);
      for (const fail of this.#sent) {
        fail(new Error('The connection broke.'));
      }
    } else {
      this.#subscription = null;
      const was = this.#subscribed;
      this.#subscribed = false;
      this.#failAsked(this.#pings);
      if (was) this.#listener?.onLost(cause);
    }
    if (cause !== null) this.#listener?.onError(cause);
    this.#retries[line] ??= setTimeout(
      () => this.#open(line),
      reconnectDelay(this.#attempts[line]++),
    );
  }

  /**
   * Fails pending commands, or not: ioredis does not always fail commands that
   * it must not send again.
   */
  #failAsked(asked: Set<(error: Error) => void>): void {
    const failing = [...asked];
    asked.clear();
    if (this.network.random.chance(0.5)) return;
    for (const fail of failing) fail(new Error('Connection is closed.'));
  }

  #letGo(link: Link): void {
    this.#opened(link);
    const { connection } = link;
    connection.close();
    const { server } = connection;
    // The server notices the end, unless the way there is blocked.
    this.network.time.after(1, () => {
      server.clients.delete(connection);
      server.subscribers.delete(link as Subscriber);
    });
  }

  #hasten(line: 'commands' | 'subscription'): void {
    const retry = this.#retries[line];
    if (retry === null) return;
    clearTimeout(retry);
    this.#open(line);
  }

  /** A command that is settled whatever becomes of the connection. */
  #answered<T>(job: (server: SimulatedServer) => T): Promise<T> {
    const link = this.#commands;
    if (this.#closed || !this.#ready || link === null) {
      return Promise.reject(new Error('Connection is closed.'));
    }
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        clearTimeout(late);
        this.#sent.delete(fail);
      };
      const fail = (error: Error): void => {
        settled();
        reject(error);
      };
      const late = setTimeout(
        () => fail(new Error('Unanswered.')),
        UNANSWERED_MS * (1 + this.network.random.next()),
      );
      this.#sent.add(fail);
      this.#ask(
        link,
        job,
        (value) => {
          settled();
          resolve(value);
        },
        (error) => {
          fail(error);
          if (error.message.includes('READONLY')) this.reconnect('commands');
        },
      );
    });
  }

  #question<T>(job: (server: SimulatedServer) => T): Promise<T> {
    const link = this.#commands;
    if (this.#closed || !this.#ready || link === null) {
      return Promise.reject(new Error('Connection is closed.'));
    }
    return new Promise((resolve, reject) => {
      this.#asking.add(reject);
      this.#ask(
        link,
        job,
        (value) => {
          this.#asking.delete(reject);
          resolve(value);
        },
        (error) => {
          this.#asking.delete(reject);
          reject(error);
        },
      );
    });
  }

  #ask<T>(
    { connection }: Link,
    job: (server: SimulatedServer) => T,
    answer: (value: T) => void,
    fail: (error: Error) => void,
  ): void {
    const { server } = connection;
    connection.up(() => {
      try {
        const value = job(server);
        connection.down(() => answer(value));
      } catch (error) {
        connection.down(() => fail(error as Error));
      }
    });
  }
}
