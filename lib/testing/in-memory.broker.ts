import {
  decodeMessage,
  encodeMessage,
  Instance,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';
import {
  InMemoryChannel,
  InvalidationTransport,
  MemoryTransport,
} from '../transport/index.js';

/** The part of `TestingModuleBuilder` that is needed here. @publicApi */
export interface OverridableModule {
  overrideProvider(token: unknown): { useValue(value: unknown): unknown };
}

/**
 * A channel in memory, in the place of Redis. Several applications in one
 * process may share it, and then hear each other as over the network.
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

  /** Gives one application a connection to this broker, in the place of Redis. */
  install<T extends OverridableModule>(builder: T): T {
    builder
      .overrideProvider(InvalidationTransport)
      .useValue(new MemoryTransport(this.#channel));
    return builder;
  }

  /**
   * Says something as another service would: every application hears it.
   *
   * @param invalidation what `entity()`, `batch()`, `pattern()` or `everything()` made
   */
  emit(invalidation: Invalidation, sourceService = 'another-service'): void {
    const message = new Instance(sourceService).stamp(invalidation);
    this.#channel.publish(encodeMessage(message, Infinity));
  }

  /** Puts any text on the channel: what a broken publisher would say. */
  emitRaw(payload: string): void {
    this.#channel.publish(payload);
  }

  /** @internal */
  tap(see: (message: InvalidationMessage) => void): void {
    this.#channel.tap((payload) => {
      try {
        see(decodeMessage(payload, Infinity));
      } catch {
        // Not a message: nothing was published.
      }
    });
  }
}
