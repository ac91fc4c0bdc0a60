import {
  affects,
  encodeMessage,
  encodeOrigin,
  entity,
  everything,
  Instance,
  type Invalidation,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import type {
  DurableOutbox,
  InvalidationPublisher,
  PublisherShutdown,
  PublishReceipt,
} from '../../lib/publisher/index.js';
import { RegionRelays, type RegionsOptions } from '../../lib/regions/index.js';
import { InvalidationMeter } from '../../lib/stream/index.js';
import type {
  InvalidationSubscriber,
  MessageReceiver,
  StalePolicy,
  SubscriptionSession,
} from '../../lib/subscriber/index.js';
import { instanceParts, ROOMY } from '../support/parts.js';
import type { SimulatedNetwork } from './simulated.network.js';
import { SimulatedTransport } from './simulated.transport.js';

/** Rows by cache key, and the durable outbox in the same transactions. */
export class SimulatedDatabase {
  readonly outbox = new Map<string, { text: string; at: number }>();
  writes = 0;

  constructor(
    private readonly now: () => number,
    readonly rows = new Map<string, number>(),
  ) {}

  change(keys: readonly string[]): void {
    this.writes++;
    for (const key of keys) this.rows.set(key, this.versionOf(key) + 1);
  }

  versionOf(key: string): number {
    return this.rows.get(key) ?? 0;
  }

  store(messageId: string, text: string): void {
    this.outbox.set(messageId, { text, at: this.now() });
  }

  /** The durable outbox of one application, while that is alive. */
  port(isAlive: () => boolean): DurableOutbox {
    return {
      pending: async ({ limit, olderThan }) =>
        [...this.outbox.values()]
          .filter(({ at }) => isAlive() && at <= this.now() - olderThan)
          .slice(0, limit)
          .map(({ text }) => text),
      remove: async (messageIds) => {
        if (!isAlive()) return;
        for (const id of messageIds) this.outbox.delete(id);
      },
    };
  }
}

export interface NodeOptions {
  readonly journaled: boolean;
  readonly heartbeatInterval: number;
  readonly heartbeatTimeout: number;
  readonly outboxLimit: number;
  readonly maxStaleness: number;
  readonly whenStale: StalePolicy;
  readonly durable: boolean;
  /** Deliberate mistake that the checker must find. */
  readonly sabotage: Sabotage | null;
  readonly regions?: RegionsOptions;
}

/**
 * - `deaf`: caches ignore widened messages
 * - `heartless`: no heartbeat takes place
 */
export type Sabotage = 'deaf' | 'heartless';

const NEVER_MS = 2_147_483_647;

export const PUBLISH_TIMEOUT = 200;

interface Load {
  readonly key: string;
  overtaken: boolean;
}

/** Counters that the summary of a run needs. */
export class Counts extends InvalidationMeter {
  replays = 0;
  widenings = 0;
  deliveries = 0;

  published(): void {}
  queued(): void {}
  publishFailed(): void {}
  received(): void {}
  malformed(): void {}
  unverified(): void {}
  propagated(): void {}
  handled(): void {}
  handlerFailed(): void {}
  reconnected(): void {}

  replayed(): void {
    this.replays++;
  }

  delivered(): void {
    this.deliveries++;
  }

  widened(): void {
    this.widenings++;
  }
}

/** One application: the library as the module wires it, and a cache. */
export class SimulatedNode {
  readonly cache = new Map<string, number>();
  readonly transport: SimulatedTransport;
  readonly publisher: InvalidationPublisher;
  readonly subscriber: InvalidationSubscriber;
  /** The relays in its process. */
  readonly relays: RegionRelays;
  /** End of the payloads of its own messages. */
  readonly signature: string;
  /** Number of messages in Redis that are known to be covered. */
  checked = 0;
  /** Ids of the messages that were delivered here. */
  readonly heard = new Set<string>();
  widenedAt = -1;
  alive = true;
  /** Time since which the application has started and answers requests. */
  servingSince: number | null = null;
  heardForeign = false;
  slowestPublish = 0;
  unsettled = 0;
  readonly #loads = new Set<Load>();
  readonly #session: SubscriptionSession;
  readonly #receiver: MessageReceiver;
  readonly #shutdown: PublisherShutdown;

  constructor(
    readonly name: string,
    private readonly network: SimulatedNetwork,
    private readonly database: SimulatedDatabase,
    private readonly options: NodeOptions,
    counts: Counts,
    private readonly onHeard: (message: InvalidationMessage) => void,
  ) {
    const instance = new Instance(name, options.regions?.local);
    this.transport = new SimulatedTransport(name, network, options.journaled);
    this.signature = encodeOrigin(instance.origin);
    const given = {
      ...ROOMY,
      channel: 'cache:invalidate',
      connection: 'redis://localhost',
      sharded: false,
      startupTimeout: 2_000,
      shutdownTimeout: 1,
      maxBatchSize: 1_000,
      maxMessageBytes: 100_000,
      ...options,
      publishTimeout: PUBLISH_TIMEOUT,
      heartbeatInterval:
        options.sabotage === 'heartless' ? NEVER_MS : options.heartbeatInterval,
      durableOutbox: options.durable
        ? database.port(() => this.alive)
        : undefined,
    };
    const parts = instanceParts(given, instance, this.transport, counts);
    this.relays = new RegionRelays(
      { ...given, role: 'both' },
      this.transport,
      instance,
      parts.errors,
    );
    this.publisher = parts.publisher;
    this.subscriber = parts.subscriber;
    this.#session = parts.session;
    this.#receiver = parts.receiver;
    this.#shutdown = parts.shutdown;
    this.subscriber.subscribe((message) => this.#obey(message));
  }

  get state(): string {
    return this.subscriber.status.state;
  }

  get cursor(): MessageReceiver['cursor'] {
    return this.#receiver.cursor;
  }

  /** Messages that Redis has not taken. */
  get pending(): number {
    return this.publisher.pending;
  }

  async start(): Promise<void> {
    await this.#session.start();
    if (!this.alive) return;
    this.servingSince = this.network.time.now;
    this.relays.start();
  }

  /** SIGKILL. */
  kill(): void {
    this.alive = false;
    this.servingSince = null;
    this.transport.die();
    // Nothing of theirs reaches this region's Redis any more.
    void this.relays.stop();
    // Only stops its timers.
    void this.#shutdown.run();
    void this.#session.stop();
  }

  /** A request that needs this row: from the cache, or from the database. */
  read(key: string): void {
    if (this.servingSince === null) return;
    const { time, random } = this.network;
    if (!this.subscriber.bypass && this.cache.has(key)) return;
    const load: Load = { key, overtaken: false };
    this.#loads.add(load);
    const version = this.database.versionOf(key);
    time.after(random.between(0, 30), () => {
      this.#loads.delete(load);
      if (load.overtaken || this.subscriber.bypass) return;
      this.cache.set(key, version);
    });
  }

  /** A request that changes rows, and awaits the receipt of the library. */
  write(invalidation: Invalidation, keys: readonly string[]): void {
    if (this.servingSince === null) return;
    const { time, random } = this.network;
    this.database.change(keys);
    if (!this.options.durable) {
      const tell = (): void => {
        this.#watch(this.publisher.publish(invalidation));
      };
      if (random.chance(0.5)) tell();
      else time.after(random.between(0, 5), () => this.alive && tell());
      return;
    }
    const stored = this.publisher.prepare(invalidation);
    this.database.store(stored.messageId, stored.text);
    // The process may die here.
    if (random.chance(0.05)) return;
    time.after(random.between(0, 5), () => {
      if (this.alive) this.#watch(this.publisher.publishStored(stored));
    });
  }

  get stale(): string[] {
    if (!this.alive || this.subscriber.bypass) return [];
    return [...this.cache]
      .filter(([key, version]) => version !== this.database.versionOf(key))
      .map(([key]) => key);
  }

  #watch(receipt: Promise<PublishReceipt>): void {
    const { time } = this.network;
    const from = time.now;
    this.unsettled++;
    void receipt.then(() => {
      this.unsettled--;
      this.slowestPublish = Math.max(this.slowestPublish, time.now - from);
    });
  }

  #obey(message: InvalidationMessage): void {
    if (message.widened !== null) {
      if (this.options.sabotage === 'deaf') return;
      this.widenedAt = this.network.time.now;
    } else {
      if (message.offset === null && !message.own) this.heardForeign = true;
      this.heard.add(message.messageId);
    }
    this.onHeard(message);
    for (const key of this.cache.keys()) {
      if (affects(message, key)) this.cache.delete(key);
    }
    for (const load of this.#loads) {
      if (affects(message, load.key)) load.overtaken = true;
    }
  }
}

/** A service in another language, which publishes without a journal. */
export class ForeignService {
  readonly #instance = new Instance('foreign');

  constructor(
    private readonly network: SimulatedNetwork,
    private readonly database: SimulatedDatabase,
  ) {}

  /** Publishes only if all instances are certain to receive it. */
  write(key: string, nodes: readonly SimulatedNode[]): void {
    const { master, misled } = this.network;
    if (!master.up || master.stopped || misled.size > 0) return;
    if (nodes.some(({ alive, heardForeign }) => alive && !heardForeign)) {
      this.say(entity('session', 'nobody'));
      return;
    }
    this.database.change([key]);
    const [type = '', id = ''] = key.split(':');
    this.say(entity(type === 'user' ? 'User' : type, id));
  }

  noise(kind: number): void {
    const { master, random } = this.network;
    const old = master.journal[random.whole(0, master.journal.length - 1)];
    if (kind === 0) master.announce('{"not":"a message"');
    else if (kind === 1 && old !== undefined) master.announce(old.payload);
    else {
      const text = textOf(this.#instance.stamp(everything()));
      master.announce(text.replace('Pattern', 'Touch'));
    }
  }

  /** PUBLISH alone. */
  say(invalidation: Invalidation): InvalidationMessage {
    const message = this.#instance.stamp(invalidation);
    this.network.master.announce(textOf(message));
    return message;
  }
}

function textOf(message: InvalidationMessage): string {
  return encodeMessage({ ...message, origin: null }, Infinity);
}
