import { Logger } from '@nestjs/common';
import {
  inMilliseconds,
  LONGEST_TIMER_MS,
  type Duration,
} from '../common/index.js';
import {
  describeCause,
  InvalidationConfigurationError,
} from '../errors/index.js';
import {
  decodeMessage,
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
import type { AppWithProviders } from './settled.js';

/** The part of `TestingModuleBuilder` that is needed here. @publicApi */
export interface OverridableModule {
  overrideProvider(token: unknown): { useValue(value: unknown): unknown };
}

/**
 * A channel in memory with its journal, in the place of Redis. Several
 * applications in one process may share it, and then hear each other as over the
 * network, which can be cut, slow, or lose messages.
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
  readonly #channel = new InMemoryChannel();
  readonly #transports = new Set<MemoryTransport>();
  #published: InvalidationMessage[] = [];
  /** Errors of the functions of `drop()`; `null` while the test says nothing. */
  #thrown: unknown[] | null = null;

  constructor() {
    // From an empty journal nobody can tell what was missed, and must widen.
    this.emit(entity('in-memory-broker', 'started'));
    this.tap((message) => this.#published.push(message));
  }

  /** Every message so far, in order, whoever published it. */
  get published(): readonly InvalidationMessage[] {
    return this.#published;
  }

  /** Forgets what was published, and nothing else. */
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
   * Says something as another service would: every application hears it.
   *
   * @param invalidation what `entity()`, `batch()`, `pattern()` or `everything()` made
   */
  emit(invalidation: Invalidation, sourceService = 'another-service'): void {
    const message = new Instance(sourceService).stamp(invalidation);
    const encoded = encodeMessage(message, Infinity);
    this.#say(() => this.#channel.append(encoded));
  }

  /**
   * Puts any text on the channel, and none in the journal: what a broken publisher
   * would say, or one that keeps no journal.
   */
  emitRaw(payload: string): void {
    if (typeof payload !== 'string') {
      throw new InvalidationConfigurationError(
        `${show(payload)} cannot be on the channel.`,
        [],
        'Give a text; for a message as services publish it, take emit().',
      );
    }
    this.#say(() => this.#channel.publish(payload));
  }

  /**
   * Cuts applications off: they hear nothing, and what they publish waits in their
   * outboxes. All of them unless told.
   */
  cut(...apps: AppWithProviders[]): void {
    for (const transport of this.#of(apps)) transport.cut();
  }

  /**
   * Ends `cut()`: they send what waits, and read in the journal what they missed,
   * which `settled()` waits for. All of them unless told.
   */
  heal(...apps: AppWithProviders[]): void {
    for (const transport of this.#of(apps)) transport.heal();
  }

  /**
   * How long every message is on its way from now on; 0 for not at all. A test's
   * fake timers hold it back; `settled()` does not wait for it.
   */
  delay(time: Duration): void {
    const ms = inMilliseconds(time);
    if (typeof ms !== 'number' || !(ms >= 0 && ms <= LONGEST_TIMER_MS)) {
      throw new InvalidationConfigurationError(
        `${show(time)} is no time for a message to be on its way.`,
        [],
        'Give milliseconds, or a time such as "1s", of at most 24 days.',
      );
    }
    this.#channel.latency = ms;
  }

  /**
   * Loses messages on their way, from now on: the next ones, by their number, or
   * those for which a function is true; 0 for none any more. The journal has them,
   * so instances find the gap with the next message or heartbeat, or by `replay()`.
   * A message for which the function throws is delivered; `emit()` and `emitRaw()`
   * throw that error then, and for what an application publishes it is logged.
   */
  drop(what: number | ((message: InvalidationMessage) => boolean)): void {
    if (typeof what === 'function') {
      this.#channel.loses = (payload) =>
        readable(payload, (message) => this.#isLost(message, what)) ?? false;
      return;
    }
    if (!Number.isSafeInteger(what) || what < 0) {
      throw new InvalidationConfigurationError(
        `${show(what)} is no number of messages to lose.`,
        [],
        'Give a whole number, 0 to lose none, or a function of the message.',
      );
    }
    let left = what;
    this.#channel.loses = () => left > 0 && left-- > 0;
  }

  /**
   * Every application reads in the journal what it has missed, as it does at its
   * next heartbeat; `settled()` waits for it.
   */
  replay(): void {
    for (const transport of this.#transports) transport.resubscribe();
  }

  /**
   * Loses the journal, as Redis does without persistence: once an application
   * notices, at its next message or when it is healed, everything is invalid to it.
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
      readable(payload, see);
    });
  }

  /** An application that published would take the error for one of Redis. */
  #isLost(
    message: InvalidationMessage,
    when: (message: InvalidationMessage) => boolean,
  ): boolean {
    try {
      return when(message);
    } catch (error) {
      if (this.#thrown !== null) this.#thrown.push(error);
      else {
        new Logger('CacheInvalidation').error(
          `The function given to drop() has thrown, and the message was delivered: ${describeCause(error as Error)}`,
        );
      }
      return false;
    }
  }

  /** @throws what a function of `drop()` has thrown, once all have heard it. */
  #say(speak: () => void): void {
    const thrown: unknown[] = [];
    this.#thrown = thrown;
    try {
      speak();
    } finally {
      this.#thrown = null;
    }
    if (thrown.length > 0) throw thrown[0];
  }

  #of(apps: readonly AppWithProviders[]): readonly MemoryTransport[] {
    if (apps.length === 0) return [...this.#transports];
    return apps.map((app) => {
      if (
        typeof (app as Partial<AppWithProviders> | null)?.get !== 'function'
      ) {
        throw new InvalidationConfigurationError(
          `${show(app)} is no application.`,
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

/** `undefined` for what is no message: nothing was published. */
function readable<T>(
  payload: string,
  read: (message: InvalidationMessage) => T,
): T | undefined {
  let message: InvalidationMessage;
  try {
    message = decodeMessage(payload, Infinity);
  } catch {
    return undefined;
  }
  return read(message);
}
