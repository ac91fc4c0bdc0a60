import { InvalidationConfigurationError } from '../errors/index.js';
import type { ErrorReporter } from './error-reporter.js';
import type { InvalidationConsumer } from './invalidation-consumer.js';

/** So many consumers of one name are hardly meant. */
const MANY = 250;
/** Caches and handlers of one instance. */
const CONSUMER_LIMIT = 10_000;
const MANY_ADVICE =
  'A constructor runs again for each request if its class, or anything that it injects, is request-scoped: make caches and subscriptions once, in a singleton, or end each of them.';

/**
 * The consumers of one instance, in the order of delivery. Their number is bounded:
 * a consumer that a constructor registers stays, however often that constructor
 * runs.
 *
 * @internal
 */
export class ConsumerList {
  /** A new array at each change, since a delivery may be walking the old one. */
  all: readonly InvalidationConsumer[] = [];

  constructor(private readonly errors: ErrorReporter) {}

  /** @returns a function that removes the consumer */
  addFirst(consumer: InvalidationConsumer): () => void {
    this.#checkCount(consumer.name);
    this.all = [consumer, ...this.all];
    return () => this.#remove(consumer);
  }

  /** @returns a function that removes the consumer */
  addLast(consumer: InvalidationConsumer): () => void {
    this.#checkCount(consumer.name);
    this.all = [...this.all, consumer];
    return () => this.#remove(consumer);
  }

  /** Entity types of all consumers; `null` if one of them takes every type. */
  types(): string[] | null {
    const handled = new Set<string>();
    for (const { types } of this.all) {
      if (types === null) return null;
      for (const type of types) handled.add(type);
    }
    return [...handled].toSorted();
  }

  /** Whether a handler runs. */
  get busy(): boolean {
    return this.all.some(({ busy }) => busy);
  }

  /** Resolves once no handler runs and no message waits for one. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.all.map((consumer) => consumer.whenIdle()));
  }

  close(): void {
    for (const consumer of this.all) consumer.close();
    this.all = [];
  }

  #checkCount(name: string): void {
    if (this.all.length >= CONSUMER_LIMIT) {
      throw new InvalidationConfigurationError(
        'There are too many subscribers to invalidations:',
        [
          {
            field: 'subscribers',
            problem: `there are ${CONSUMER_LIMIT} already, the last of which is "${name}".`,
            fix: MANY_ADVICE,
          },
        ],
        '',
      );
    }
    const same = this.all.filter((other) => other.name === name).length;
    if (same + 1 !== MANY) return;
    this.errors.log(
      'warn',
      `${name} has been registered for invalidations ${MANY} times, and each receives every message. ${MANY_ADVICE}`,
      `${name} registered`,
    );
  }

  #remove(consumer: InvalidationConsumer): void {
    consumer.close();
    this.all = this.all.filter((other) => other !== consumer);
  }
}
