/**
 * Bounds promises in time, and can end all waiting at once: an answer that went
 * down with its connection may never come.
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

  /** Rejects all promises that are still waited for, and clears their timers. */
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
