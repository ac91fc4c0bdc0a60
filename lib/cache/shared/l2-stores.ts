import { describeCause, InvalidationRedisError } from '../../errors/index.js';
import type { ErrorReporter } from '../../stream/index.js';
import type {
  InvalidationTransport,
  L2Store,
  RedisConnection,
} from '../../transport/index.js';

/** The stores of second tiers, one for each connection. @internal */
export class L2Stores {
  readonly #stores = new Map<RedisConnection | undefined, L2Store>();
  #isOpen = false;

  constructor(
    private readonly transport: InvalidationTransport,
    private readonly errors: ErrorReporter,
  ) {}

  /** @param connection `undefined` for the module's own */
  of(connection: RedisConnection | undefined): L2Store {
    const known = this.#stores.get(connection);
    if (known !== undefined) return known;
    const store = this.transport.l2Store({
      connection,
      onError: (cause) =>
        this.errors.report(
          new InvalidationRedisError(
            `Redis, of near caches: ${describeCause(cause)}.`,
            'It is tried again; until then they load what they do not have in memory.',
            cause,
          ),
          'l2',
        ),
    });
    this.#stores.set(connection, store);
    if (this.#isOpen) store.open();
    return store;
  }

  /** Connects all stores, and from now on each new one at once. */
  open(): void {
    this.#isOpen = true;
    for (const store of this.#stores.values()) store.open();
  }

  /** Closes one store; the next use of its connection opens another. */
  closeOne(connection: RedisConnection | undefined): void {
    this.#stores.get(connection)?.close();
    this.#stores.delete(connection);
  }

  close(): void {
    for (const store of this.#stores.values()) store.close();
  }
}
