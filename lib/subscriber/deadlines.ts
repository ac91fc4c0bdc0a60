import { InvalidationTimeoutError } from '../errors/index.js';

/**
 * A bound on how long Redis is waited for, and an end to the waiting: a question
 * that went down with its connection may never be answered.
 *
 * @internal
 */
export class Deadlines {
  readonly #waiting = new Set<(error: Error) => void>();

  /** @param timeout in milliseconds */
  constructor(private readonly timeout: number) {}

  /**
   * Bounds a promise in time.
   *
   * @param what for the error's message: "Redis has not answered …"
   */
  within<T>(what: string, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => fail(this.#timeoutError(what)),
        this.timeout,
      );
      const settled = (): void => {
        clearTimeout(late);
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

  /** Ends all waiting: the results are of no use any more. */
  cancel(): void {
    for (const fail of this.#waiting)
      fail(new Error('Redis did not answer in time.'));
  }

  #timeoutError(what: string): InvalidationTimeoutError {
    return new InvalidationTimeoutError(
      `Redis has not answered ${what} for ${this.timeout} ms.`,
      'It is asked again; until then nothing proves that this instance is current.',
      this.timeout,
    );
  }
}
