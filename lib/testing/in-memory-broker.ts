import {
  inMilliseconds,
  LONGEST_TIMER_MS,
  type Duration,
} from '../common/index.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import {
  encodeMessage,
  entity,
  Instance,
  show,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';
import {
  InMemoryChannel,
  InvalidationTransport,
  MemoryTransport,
} from '../transport/index.js';
import { MessageLosses, readMessage } from './message-losses.js';
import type { AppWithProviders } from './settled.js';

/** The part of `TestingModuleBuilder` that is needed here. @publicApi */
export interface OverridableModule {
  overrideProvider(token: unknown): { useValue(value: unknown): unknown };
}

/**
 * A channel in memory with its journal, in the place of Redis. Several applications in
 * one process may share it and receive each other's messages, as over a network that
 * can be cut, slow, or lose messages.
 *
 * @example
 * ```ts
 * const broker = new InMemoryBroker();
 * const module = await broker
 *   .install(Test.createTestingModule({ imports: [AppModule] }))
 *   .compile();
 * ```
 * @publicApi
 */
export class InMemoryBroker {
  readonly #channel: InMemoryChannel;
  readonly #regions = new Map<string, InMemoryBroker>();
  readonly #transports = new Set<MemoryTransport>();
  #published: InvalidationMessage[] = [];
  readonly #losses = new MessageLosses();

  /**
   * @param channel a new one if absent
   * @internal
   */
  constructor(channel = new InMemoryChannel()) {
    this.#channel = channel;
    // An application that finds an empty journal has to widen.
    this.emit(entity('in-memory-broker', 'started'));
    this.tap((message) => this.#published.push(message));
  }

  /** Every message so far, in order, whoever published it. */
  get published(): readonly InvalidationMessage[] {
    return this.#published;
  }

  /** Empties the list of published messages, and changes nothing else. */
  clear(): void {
    this.#published = [];
  }

  /**
   * Gives one application a connection to this broker, in the place of Redis. A
   * testing module without CacheInvalidationModule stays as it is: decorated
   * methods pass through; see `CacheInvalidationTestingModule`.
   */
  install<T extends OverridableModule>(builder: T): T {
    builder.overrideProvider(InvalidationTransport).useValue(this.connect());
    return builder;
  }

  /**
   * The broker of another region: an application whose option `regions` has it as a
   * source relays what is published there.
   */
  region(name: string): InMemoryBroker {
    const broker =
      this.#regions.get(name) ?? new InMemoryBroker(this.#channel.region(name));
    this.#regions.set(name, broker);
    return broker;
  }

  /**
   * Publishes an invalidation as another service would: every application receives it.
   *
   * @param invalidation what `entity()`, `batch()`, `pattern()` or `everything()` made
   */
  emit(invalidation: Invalidation, sourceService = 'another-service'): void {
    const message = new Instance(sourceService).stamp(invalidation);
    const encoded = encodeMessage(message, Infinity);
    this.#losses.during(() => this.#channel.append(encoded));
  }

  /**
   * Publishes any text on the channel and adds nothing to the journal, as a broken
   * publisher would, or one that keeps no journal.
   */
  emitRaw(payload: string): void {
    if (typeof payload !== 'string') {
      throw new InvalidationConfigurationError(
        `${show(payload)} cannot be published.`,
        [],
        'Give a text; to publish a message as services do, use emit().',
      );
    }
    this.#losses.during(() => this.#channel.publish(payload));
  }

  /**
   * Cuts applications off: they receive nothing, and their messages wait in their
   * outboxes. Without arguments it cuts off all of them.
   */
  cut(...apps: AppWithProviders[]): void {
    for (const transport of this.#of(apps)) transport.cut();
  }

  /**
   * Ends `cut()`: the applications publish their outboxes and replay the journal, which
   * `settled()` waits for. Without arguments it ends the cut of all of them.
   */
  heal(...apps: AppWithProviders[]): void {
    for (const transport of this.#of(apps)) transport.heal();
  }

  /**
   * Delays every message by this time from now on; 0 ends the delay. Fake timers hold
   * delayed messages back, and `settled()` does not wait for them.
   */
  delay(time: Duration): void {
    const ms = inMilliseconds(time);
    if (typeof ms !== 'number' || !(ms >= 0 && ms <= LONGEST_TIMER_MS)) {
      throw new InvalidationConfigurationError(
        `${show(time)} is not a delay.`,
        [],
        'Give milliseconds, or a time such as "1s", of at most 24 days.',
      );
    }
    this.#channel.latency = ms;
  }

  /**
   * Loses messages from now on: the next ones, by their number, or those for which a
   * function is true; 0 ends the loss. The journal has them, so instances find the gap
   * with the next message or heartbeat, or by `replay()`.
   *
   * A message for which the function throws is delivered. `emit()` and `emitRaw()` throw
   * that error; for a message of an application it is logged.
   */
  drop(which: number | ((message: InvalidationMessage) => boolean)): void {
    this.#channel.loses = this.#losses.ruleFor(which);
  }

  /**
   * Makes every application replay the journal now, as at its next heartbeat;
   * `settled()` waits for it.
   */
  replay(): void {
    for (const transport of this.#transports) transport.resubscribe();
  }

  /**
   * Loses the journal, as Redis does without persistence. Applications that notice, at
   * their next message or when they are healed, evict everything.
   */
  loseJournal(): void {
    this.#channel.journal = [];
  }

  /** @internal */
  connect(): InvalidationTransport {
    const transport = new MemoryTransport(this.#channel);
    this.#transports.add(transport);
    return transport;
  }

  /** @internal */
  tap(see: (message: InvalidationMessage) => void): void {
    this.#channel.tap((payload) => {
      readMessage(payload, see);
    });
  }

  #of(apps: readonly AppWithProviders[]): readonly MemoryTransport[] {
    if (apps.length === 0) return [...this.#transports];
    return apps.map((app) => {
      if (
        typeof (app as Partial<AppWithProviders> | null)?.get !== 'function'
      ) {
        throw new InvalidationConfigurationError(
          `${show(app)} is not an application.`,
          [],
          'Give what compile() or createNestApplication() made, or nothing for all applications.',
        );
      }
      const transport = app.get(InvalidationTransport, { strict: false });
      if (this.#transports.has(transport as MemoryTransport)) {
        return transport as MemoryTransport;
      }
      throw new InvalidationConfigurationError(
        'That application is not on this broker.',
        [],
        'Use install() of this broker, or CacheInvalidationTestingModule.register({ broker }).',
      );
    });
  }
}
