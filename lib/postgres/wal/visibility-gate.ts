import { Snapshot } from './snapshot.js';

/** Milliseconds between two snapshots while something waits: more the longer it does. */
const POLLS = { first: 1, last: 20 };

/** Changes of committed transactions that wait in the gate. @internal */
export interface Gated {
  /** Whether a snapshot has all of these changes; asked in the order of snapshots. */
  isSeenBy(snapshot: Snapshot): boolean;
  /** Whether other sessions see the changes. */
  isVisible: boolean;
  /** Whether the wait has reached its bound. */
  isLate: boolean;
}

/**
 * Holds back committed transactions until other sessions see them: the log has a commit
 * a little before. A reader that is told too early would load the old row again.
 *
 * @internal
 */
export class VisibilityGate {
  readonly #waiting = new Map<Gated, number>();
  #timer: NodeJS.Timeout | null = null;
  #isPolling = false;
  #isClosed = false;
  #pause = POLLS.first;

  constructor(
    /** Reads `txid_current_snapshot()`. */
    private readonly readSnapshot: () => Promise<string>,
    /** Milliseconds after which a transaction is late. */
    private readonly limit: number,
    private readonly listener: {
      /** Some transactions are visible now, or late. */
      onChanged(): void;
      onFailed(error: Error): void;
    },
  ) {}

  add(gated: Gated): void {
    this.#waiting.set(gated, performance.now());
    this.#pause = POLLS.first;
    if (!this.#isPolling) void this.#poll();
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #poll(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#isPolling = true;
    try {
      const snapshot = Snapshot.parse(await this.readSnapshot());
      if (this.#isClosed) return;
      this.#isPolling = false;
      if (this.#pass(snapshot)) this.listener.onChanged();
      this.#pollLater();
    } catch (error) {
      if (!this.#isClosed) this.listener.onFailed(error as Error);
    }
  }

  /** @returns whether anything has changed */
  #pass(snapshot: Snapshot): boolean {
    const now = performance.now();
    let hasChanged = false;
    for (const [gated, since] of this.#waiting) {
      if (gated.isSeenBy(snapshot)) {
        gated.isVisible = true;
        this.#waiting.delete(gated);
      } else if (!gated.isLate && now - since >= this.limit) {
        gated.isLate = true;
      } else continue;
      hasChanged = true;
    }
    return hasChanged;
  }

  #pollLater(): void {
    if (this.#waiting.size === 0 || this.#isClosed || this.#isPolling) return;
    this.#timer = setTimeout(() => void this.#poll(), this.#pause);
    this.#timer.unref();
    this.#pause = Math.min(POLLS.last, 2 * this.#pause);
  }
}
