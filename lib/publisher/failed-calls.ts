import type { Unsent } from './outbox.js';

/**
 * Messages of calls that failed, until they can be put back into the outbox.
 *
 * @internal
 */
export class FailedCalls {
  #calls: { order: number; unsent: readonly Unsent[] }[] = [];

  get messages(): number {
    return this.#calls.reduce((sum, { unsent }) => sum + unsent.length, 0);
  }

  /** @param order the number of the call */
  add(order: number, unsent: readonly Unsent[]): void {
    this.#calls.push({ order, unsent });
  }

  /** Takes all messages in the order of their calls, which may fail in another one. */
  takeInOrder(): Unsent[] {
    const calls = this.#calls.toSorted((a, b) => a.order - b.order);
    this.#calls = [];
    return calls.flatMap(({ unsent }) => unsent);
  }
}
