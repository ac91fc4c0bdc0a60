import type { CommitPosition, InvalidationMessage } from '../message/index.js';
import type { Outbox } from './outbox.js';

/** A publisher, as a scope sees it. @internal */
export interface DeferringPublisher {
  /** A place for held messages, in which they are merged, and bounded. */
  newHold(): Outbox;
  /** The held messages of a scope were collapsed to coarser ones. */
  holdCollapsed(): void;
  /**
   * Publishes the messages that a scope held. Never throws or rejects.
   *
   * @param mode.wait whether the caller waits for Redis; if not, this instance's
   * consumers have the messages when it returns
   * @param at the commit of the scope's work; not given if it is not known
   */
  publishHeld(
    messages: readonly InvalidationMessage[],
    mode: { readonly wait: boolean },
    at?: CommitPosition | null,
  ): Promise<unknown>;
  /** Covers held messages that are not known any more. */
  publishEverything(): Promise<unknown>;
}

/**
 * Invalidations that one scope holds back, by publisher.
 *
 * @internal
 */
export class HeldInvalidations {
  readonly #holds = new Map<DeferringPublisher, Outbox>();

  get isEmpty(): boolean {
    return this.#holds.size === 0;
  }

  add(
    publisher: DeferringPublisher,
    messages: readonly InvalidationMessage[],
  ): void {
    let hold = this.#holds.get(publisher);
    if (hold === undefined) {
      hold = publisher.newHold();
      this.#holds.set(publisher, hold);
    }
    const unsent = messages.map((message) => ({ message, triedSince: null }));
    if (hold.add(unsent)) publisher.holdCollapsed();
  }

  /** Drops all of them, after a rollback. */
  clear(): void {
    this.#holds.clear();
  }

  /** A copy, by publisher; the invalidations stay held. */
  *copies(): Iterable<[DeferringPublisher, InvalidationMessage[]]> {
    for (const [publisher, hold] of this.#holds) {
      const unsent = hold.take(Infinity);
      hold.add(unsent);
      yield [publisher, unsent.map(({ message }) => message)];
    }
  }

  /** Takes all of them, by publisher. */
  takeAll(): [DeferringPublisher, InvalidationMessage[]][] {
    return [...this.#holds].map(([publisher, hold]) => [
      publisher,
      hold.take(Infinity).map(({ message }) => message),
    ]);
  }
}
