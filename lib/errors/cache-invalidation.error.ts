/**
 * Base of every error of this library: it has a stable `code` to branch on, the
 * `advice` that says what to do, and the `cause` where there is one.
 *
 * @publicApi
 */
export abstract class CacheInvalidationError extends Error {
  /** Stable across versions; branch on this, not on the message. */
  abstract readonly code: string;

  protected constructor(
    what: string,
    /** The remedy. */
    readonly advice: string,
    cause?: unknown,
  ) {
    super(
      `${what} ${advice}`.trim(),
      cause === undefined ? undefined : { cause },
    );
    this.name = new.target.name;
  }
}
