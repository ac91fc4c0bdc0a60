import { InvalidationTimeoutError } from '../errors/index.js';
import { compareOffsets } from '../message/index.js';

interface Waiter {
  readonly offset: string;
  readonly resolve: () => void;
}

/**
 * Who waits until this instance has applied what is at an offset.
 *
 * @internal
 */
export class OffsetWaiters {
  readonly #waiting = new Set<Waiter>();

  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** @param timeout in milliseconds */
  wait(offset: string, timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(waiter);
        reject(
          new InvalidationTimeoutError(
            `This instance has not come to offset ${offset} within ${timeout} ms.`,
            'What it has cached may be older than that; read from the source, or try again.',
            timeout,
          ),
        );
      }, timeout);
      const waiter: Waiter = {
        offset,
        resolve: () => {
          clearTimeout(late);
          resolve();
        },
      };
      this.#waiting.add(waiter);
    });
  }

  /** Everything up to this position has been delivered. */
  reached(position: string): void {
    for (const waiter of this.#waiting) {
      if (compareOffsets(waiter.offset, position) <= 0) this.#release(waiter);
    }
  }

  /** Everything was evicted: whatever they wait for is covered. */
  releaseAll(): void {
    for (const waiter of this.#waiting) this.#release(waiter);
  }

  #release(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    waiter.resolve();
  }
}
