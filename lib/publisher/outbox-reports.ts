import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
  JournalAheadError,
} from '../errors/index.js';
import { ErrorReporter, InvalidationMeter } from '../stream/index.js';

/** @internal */
export interface OutboxReportsOptions {
  /** How long Redis may leave a call unanswered, in milliseconds. */
  readonly publishTimeout: number;
  /** How many messages may wait for Redis. */
  readonly outboxLimit: number;
  /** How many bytes of them. */
  readonly queueByteLimit: number;
}

/**
 * Counts and reports publishes that Redis does not take, and what becomes of them.
 *
 * @internal
 */
@Injectable()
export class OutboxReports {
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: OutboxReportsOptions,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {}

  /** A call was not answered within `publishTimeout`. */
  unanswered(): void {
    const { publishTimeout } = this.options;
    this.meter.publishFailed();
    this.errors.report(
      new InvalidationTimeoutError(
        `Redis has not answered a publish for ${publishTimeout} ms.`,
        'Until it does, invalidations wait in the outbox and callers do not wait at all.',
        publishTimeout,
      ),
    );
  }

  failed(cause: Error): void {
    this.meter.publishFailed();
    this.errors.report(
      cause instanceof JournalAheadError
        ? cause
        : new InvalidationRedisError(
            `Redis did not accept a publish: ${describeCause(cause)}.`,
            'It waits in the outbox and will be sent again.',
            cause,
          ),
    );
  }

  /** The outbox was full, and its messages became coarser. */
  collapsed(): void {
    const { outboxLimit, queueByteLimit } = this.options;
    this.meter.widened('outbox-overflow');
    this.errors.report(
      new InvalidationRedisError(
        `More than ${outboxLimit} invalidations, or ${queueByteLimit} bytes of them, wait for Redis.`,
        'They were merged into coarser ones (options outboxLimit, queueByteLimit): nothing is lost, more entries will be evicted.',
      ),
      'outbox-overflow',
    );
  }

  /** Redis has taken all messages that had waited. */
  drained(messages: number): void {
    if (messages === 0) return;
    this.errors.log(
      'log',
      `Redis has accepted what waited in the outbox: ${messages} ${messages === 1 ? 'invalidation' : 'invalidations'}.`,
      'outbox-sent',
    );
  }
}
