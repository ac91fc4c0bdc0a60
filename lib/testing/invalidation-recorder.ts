import type { InvalidationMessage } from '../message/index.js';
import type { InMemoryBroker } from './in-memory-broker.js';

/**
 * Records the messages that are published on a broker from now on.
 *
 * @example
 * ```ts
 * await users.update({ id: '1', name: 'Ada' });
 * expect(recorder).toHaveInvalidated('User', '1');
 * ```
 * @publicApi
 */
export class InvalidationRecorder {
  #published: InvalidationMessage[] = [];

  constructor(broker: InMemoryBroker) {
    broker.tap((message) => this.#published.push(message));
  }

  /** Recorded messages, in order. */
  get published(): readonly InvalidationMessage[] {
    return this.#published;
  }

  /** Empties the record. */
  clear(): void {
    this.#published = [];
  }
}
