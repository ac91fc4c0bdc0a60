import { Logger } from '@nestjs/common';
import { BegunWork } from './begun-work.js';

/** A scope that is open for longer publishes before its end. */
const STUCK_MS = 60_000;
/** With more scopes that hold invalidations, the oldest publishes and ends. */
const MAX_HOLDING = 10_000;

/** A scope that holds invalidations back. @internal */
export interface HoldingScope {
  /** When it first held something, by `performance.now()`. */
  readonly since: number;
  /** Publishes the held invalidations, and goes on holding them for its end. */
  publishEarly(): void;
  /**
   * Publishes the held invalidations, and all later ones of the scope at once; at
   * its commit everything is invalidated.
   */
  giveUp(): void;
}

/** All scopes count as one kind of work: what they will publish is not known. */
const SCOPE = { subjects: [] };

/**
 * The scopes of the process that are open. One whose work never settles would
 * keep its invalidations for ever: it publishes them early, again at its end,
 * and at the shutdown.
 *
 * @internal
 */
export class OpenScopes {
  /** For the shutdown to wait for. */
  readonly work = new BegunWork();
  /** Oldest first. */
  readonly #holding = new Set<HoldingScope>();
  readonly #stuck = new WeakSet<HoldingScope>();
  #givingUp = false;

  begin(): void {
    this.work.begin(SCOPE);
  }

  end(): void {
    this.work.end(SCOPE);
  }

  /** A scope holds its first invalidation. */
  holds(scope: HoldingScope): void {
    this.#holding.add(scope);
    // The outer scope of one that gives up holds its invalidations.
    if (this.#givingUp) return;
    this.#checkStuck(scope.since);
    this.#givingUp = true;
    try {
      while (this.#holding.size > MAX_HOLDING) {
        const [oldest] = this.#holding;
        this.#holding.delete(oldest!);
        oldest!.giveUp();
      }
    } finally {
      this.#givingUp = false;
    }
  }

  /** A scope has ended, and holds nothing any more. */
  released(scope: HoldingScope): void {
    this.#holding.delete(scope);
  }

  get holding(): ReadonlySet<HoldingScope> {
    return this.#holding;
  }

  /** By the clock at the next scope, and not by a timer for each. */
  #checkStuck(now: number): void {
    for (const scope of this.#holding) {
      if (now - scope.since < STUCK_MS) return;
      if (this.#stuck.has(scope)) continue;
      this.#stuck.add(scope);
      scope.publishEarly();
      new Logger('CacheInvalidation').warn(
        `An InvalidationScope has been open for more than ${STUCK_MS / 1_000} s: the invalidations that it holds were published now, and will be published again when it ends. Make sure that its work settles.`,
      );
    }
  }
}
