import { Deadlines } from '../common/index.js';
import { InvalidationTimeoutError } from '../errors/index.js';

/**
 * Bounds how long Redis is waited for, and can end all waiting at once.
 *
 * @internal
 */
export class RedisAnswers {
  readonly #deadlines = new Deadlines();

  /** @param timeout in milliseconds */
  constructor(private readonly timeout: number) {}

  /**
   * @param what the subject of the error: "Redis has not answered …"
   * @throws InvalidationTimeoutError if the answer takes too long
   */
  within<T>(what: string, answer: Promise<T>): Promise<T> {
    return this.#deadlines.within(
      this.timeout,
      answer,
      () =>
        new InvalidationTimeoutError(
          `Redis has not answered ${what} for ${this.timeout} ms.`,
          'It is asked again; until it answers, this instance is not known to be up to date.',
          this.timeout,
        ),
    );
  }

  /** Rejects whatever is waited for: the answers are of no use any more. */
  cancel(): void {
    this.#deadlines.cancel(new CancelledError('Redis did not answer in time.'));
  }
}

/** The rejection of an answer that nobody waits for any more. */
class CancelledError extends Error {}

/** @internal */
export function isTimeout(error: unknown): error is InvalidationTimeoutError {
  return error instanceof InvalidationTimeoutError;
}

/** @internal */
export function isCancelled(error: unknown): boolean {
  return error instanceof CancelledError;
}
