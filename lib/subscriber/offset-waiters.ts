import { LONGEST_TIMER_MS } from '../common/index.js';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import { compareOffsets } from '../message/index.js';

interface Waiter {
  readonly offset: string;
  readonly settle: (error: Error | null) => void;
}

/** Calls that wait at one time: they come from outside, one for each request. */
const LIMIT = 1_000;

/**
 * Pending `caughtUp()` calls, settled when the position reaches their offset.
 *
 * @internal
 */
export class OffsetWaiters {
  readonly #waiting = new Set<Waiter>();
  /** The lowest offset that is waited for: messages before it settle nothing. */
  #lowest: string | null = null;

  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /**
   * @param timeout in milliseconds; no timer waits longer than 24 days
   * @throws InvalidationTimeoutError if the position is not there by then, and at
   * once where too many wait already
   */
  async wait(offset: string, timeout: number): Promise<void> {
    if (this.#waiting.size >= LIMIT) {
      throw new InvalidationTimeoutError(
        `${LIMIT} calls already wait for an offset of the journal.`,
        'What this instance has cached may be older than that; read from the source, or try again.',
        timeout,
      );
    }
    if (this.#lowest === null || compareOffsets(offset, this.#lowest) < 0) {
      this.#lowest = offset;
    }
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        offset,
        settle: (error) => {
          clearTimeout(late);
          this.#waiting.delete(waiter);
          if (error === null) resolve();
          else reject(error);
        },
      };
      const late = setTimeout(
        () =>
          waiter.settle(
            new InvalidationTimeoutError(
              `This instance has not reached offset ${offset} within ${timeout} ms.`,
              'What it has cached may be older than that; read from the source, or try again.',
              timeout,
            ),
          ),
        Math.min(timeout, LONGEST_TIMER_MS),
      );
      this.#waiting.add(waiter);
    });
  }

  /** Everything up to this position has been delivered. */
  reached(position: string): void {
    if (this.#lowest === null || compareOffsets(position, this.#lowest) < 0) {
      return;
    }
    const offsets: string[] = [];
    for (const waiter of this.#waiting) {
      if (compareOffsets(waiter.offset, position) <= 0) waiter.settle(null);
      else offsets.push(waiter.offset);
    }
    this.#lowest = offsets.toSorted(compareOffsets)[0] ?? null;
  }

  /** Everything was evicted: whatever they wait for is covered. */
  releaseAll(): void {
    for (const waiter of this.#waiting) waiter.settle(null);
  }

  /** Rejects all calls at the shutdown: the position will not reach their offsets. */
  close(): void {
    for (const { settle } of this.#waiting) {
      settle(
        new InvalidationRedisError(
          'The application shuts down.',
          'Ask another instance.',
        ),
      );
    }
  }
}
