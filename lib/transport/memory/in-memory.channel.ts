import type { TransportListener } from '../invalidation.transport.js';

/**
 * A Pub/Sub channel inside this process, shared by its transports.
 *
 * @internal
 */
export class InMemoryChannel {
  readonly #listeners = new Set<TransportListener>();
  readonly #taps = new Set<(payload: string) => void>();

  /** Delivers to every subscriber, and tells how many there were. */
  publish(payload: string): number {
    for (const tap of this.#taps) tap(payload);
    const listeners = [...this.#listeners];
    for (const listener of listeners) listener.onMessage(payload);
    return listeners.length;
  }

  /** Sees every payload before any subscriber. */
  tap(tap: (payload: string) => void): void {
    this.#taps.add(tap);
  }

  subscribe(listener: TransportListener): void {
    this.#listeners.add(listener);
  }

  unsubscribe(listener: TransportListener): void {
    this.#listeners.delete(listener);
  }
}
