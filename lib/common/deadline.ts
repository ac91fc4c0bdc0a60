/**
 * Bounds promises in time, and can cancel all of them at once: the answer to a
 * command may never come once its connection is lost.
 *
 * @internal
 */
export class Deadlines {
  readonly #waiting = new Set<(error: Error) => void>();

  /**
   * Settles as the promise does, or rejects with `lateError()` after `ms`
   * milliseconds. Its timer keeps the process alive.
   */
  within<T>(
    ms: number,
    promise: Promise<T>,
    lateError: () => Error,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(lateError()), ms);
      const settled = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(fail);
      };
      const fail = (error: Error): void => {
        settled();
        reject(error);
      };
      this.#waiting.add(fail);
      promise.then((value) => {
        settled();
        resolve(value);
      }, fail);
    });
  }

  /** Rejects all pending promises, and clears their timers. */
  cancel(error: Error): void {
    for (const fail of this.#waiting) fail(error);
  }
}

/**
 * Settles as the promise does, or rejects with `lateError()` after `ms`
 * milliseconds.
 *
 * @internal
 */
export function withDeadline<T>(
  ms: number,
  promise: Promise<T>,
  lateError: () => Error,
): Promise<T> {
  return new Deadlines().within(ms, promise, lateError);
}

const LATE = new Error('The deadline has passed.');

/**
 * Waits for a promise, but no longer than `ms` milliseconds. Never rejects.
 *
 * @returns whether the promise settled in time
 * @internal
 */
export async function settlesWithin(
  ms: number,
  promise: Promise<unknown>,
): Promise<boolean> {
  try {
    await withDeadline(ms, promise, () => LATE);
    return true;
  } catch (error) {
    return error !== LATE;
  }
}
