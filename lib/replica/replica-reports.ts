import { CallbackFailedError } from '../errors/index.js';
import type { ErrorReporter } from '../stream/index.js';

/**
 * Reports of a replica, in the log and on `errors$`.
 *
 * @internal
 */
export class ReplicaReports {
  constructor(private readonly errors: Pick<ErrorReporter, 'log' | 'report'>) {}

  /** The port has no question for the primary. */
  cannotAsk(): void {
    this.errors.log(
      'warn',
      'A replica cannot tell the position of its primary: rows loaded right after the start may be old, and what is invalidated without a position is not kept any more. Give it `current()`; postgresReplica takes the option `primary`.',
      'replica without current()',
    );
  }

  /** The function that `onConnect()` returned has failed. */
  staysHeard(error: unknown): void {
    this.errors.report(
      new CallbackFailedError(
        'A replica',
        'could not remove its listener of connections',
        'Let onConnect() return a function that removes it.',
        error,
      ),
      'replica listener',
    );
  }

  /** A question was not answered. */
  silent(error: unknown): void {
    this.errors.report(
      new CallbackFailedError(
        'A replica',
        'did not tell its position, so that rows it may not have are loaded again and again',
        'They are kept once it answers.',
        error,
      ),
      'replica',
    );
  }
}
