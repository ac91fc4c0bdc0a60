import type { InvalidationMessage } from '../message/index.js';
import type { InMemoryBroker } from './in-memory.broker.js';

/**
 * Remembers what was published on a broker since it was made.
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

  /** Every message so far, in order. */
  get published(): readonly InvalidationMessage[] {
    return this.#published;
  }

  /** Forgets them. */
  clear(): void {
    this.#published = [];
  }
}
