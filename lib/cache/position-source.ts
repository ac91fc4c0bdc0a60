import type { EntityType } from '../message/index.js';
import type { Fence, PastFence } from '../stream/index.js';

/**
 * The position of this instance in the journal, which decides what its caches may
 * keep, and which entries of a second tier they may serve. The subscriber provides
 * it.
 *
 * @internal
 */
export abstract class PositionSource {
  /** Offset up to which every message has been applied; `null` if that is not known. */
  abstract readonly position: string | null;

  /**
   * Whether caches must keep and serve nothing now, since messages may have been
   * missed.
   */
  abstract readonly bypass: boolean;

  /**
   * Milliseconds without proof that this instance has received everything, since the
   * last one or the start: of the source that has waited the longest.
   */
  abstract readonly withoutProof: number;

  /** Whether messages of publishers without a journal have been received. */
  abstract readonly foreign: boolean;

  /**
   * Makes proofs frequent enough for a cache's bound, from now on, and has it begin anew
   * at each new connection: a server that took the place of another may lack messages
   * that were acknowledged, which only their publishers can notice.
   *
   * @param cache its name, for the log
   * @param maxStaleness in milliseconds
   * @param entityType of the entries that are evicted then; `null` for a cache that
   * `whenStale()` is called for
   */
  abstract boundStaleness(
    cache: string,
    maxStaleness: number,
    entityType: EntityType | null,
  ): void;

  /**
   * Calls the listener whenever there has been no proof for so long, again after each
   * such time until there is one, and at each new connection. Ends at the shutdown.
   *
   * @param maxStaleness in milliseconds
   * @returns a function that ends it
   */
  abstract whenStale(maxStaleness: number, listener: () => void): () => void;

  /** Takes a fence before a load. */
  abstract fence(): Fence;

  /**
   * The fence of when this instance was at an offset; `null` if it never was, or
   * too long ago.
   */
  abstract fenceAt(offset: string): PastFence | null;

  /** Remembers positions from now on, for `fenceAt()`. May be called repeatedly. */
  abstract trackPositions(): void;

  /**
   * Reads from the journal the messages from before positions were tracked.
   * Resolves once that is done, or after the shutdown.
   */
  abstract recall(): Promise<void>;

  /**
   * Whether the journal itself has an entry at this offset, which a message may
   * only claim.
   */
  abstract isInJournal(offset: string): Promise<boolean>;

  /** Sets the listener that is called at every message without a journal offset. */
  abstract whenForeign(listener: () => void): void;
}
