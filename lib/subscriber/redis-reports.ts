import { describeCause, InvalidationRedisError } from '../errors/index.js';
import type { ErrorReporter } from '../stream/index.js';
import type { StatusLog } from './status-log.js';

/**
 * Reports that Redis is away, and that it answers again.
 *
 * @internal
 */
export class RedisReports {
  constructor(
    private readonly status: StatusLog,
    private readonly errors: ErrorReporter,
  ) {}

  failed(cause: Error): void {
    this.status.refused(describeCause(cause));
    this.errors.report(
      new InvalidationRedisError(
        `Redis: ${describeCause(cause)}.`,
        'Trying again; until then invalidations wait in the outbox.',
        cause,
      ),
    );
  }

  answers(): void {
    const away = this.errors.redisAnswers();
    if (away !== null) this.status.answersAgain(away);
  }
}

/** Why a connection was lost. @internal */
export function lossOf(cause: Error | null): string {
  return cause === null ? 'the connection closed' : describeCause(cause);
}
