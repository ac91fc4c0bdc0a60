import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  JournalAheadError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { Instance } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { OutboxReports } from '../../lib/publisher/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';

function make() {
  const logs = new CapturingLogger();
  Logger.overrideLogger(logs);
  onTestFinished(() => Logger.overrideLogger(false));
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  const meter = new InvalidationCounters(new Instance('test'));
  const options = {
    publishTimeout: 200,
    outboxLimit: 30,
    queueByteLimit: 4_000,
  };
  const reports = new OutboxReports(options, meter, reporter);
  return { reports, errors, meter, logs };
}

describe('OutboxReports', () => {
  it('reports an unanswered call with its timeout', () => {
    const { reports, errors, meter } = make();
    reports.unanswered();
    expect(errors).toMatchObject([
      {
        code: 'CACHE_INVALIDATION_TIMEOUT',
        timeout: 200,
        message:
          'Redis has not answered a publish for 200 ms. Until it does, invalidations wait in the outbox and callers do not wait at all.',
      },
    ]);
    expect(meter.totals.publishErrors).toBe(1);
  });

  it('reports a failed call with its cause', () => {
    const { reports, errors, meter } = make();
    const cause = new Error('READONLY.');
    reports.failed(cause);
    expect(errors).toMatchObject([
      {
        code: 'CACHE_INVALIDATION_REDIS',
        cause,
        message:
          'Redis did not accept a publish: READONLY. It waits in the outbox and will be sent again.',
      },
    ]);
    expect(meter.totals.publishErrors).toBe(1);
  });

  it('passes on the error of a journal that is ahead, which has its own advice', () => {
    const { reports, errors, meter } = make();
    const cause = new JournalAheadError('journal');
    reports.failed(cause);
    expect(errors).toEqual([cause]);
    expect(meter.totals.publishErrors).toBe(1);
  });

  it('counts a collapse by its cause, and reports it apart from other errors of Redis', () => {
    const { reports, errors, meter, logs } = make();
    reports.failed(new Error('READONLY'));
    reports.collapsed();
    expect(errors.at(-1)).toMatchObject({
      code: 'CACHE_INVALIDATION_REDIS',
      message:
        'More than 30 invalidations, or 4000 bytes of them, wait for Redis. They were merged into coarser ones (options outboxLimit, queueByteLimit): nothing is lost, more entries will be evicted.',
    });
    expect([...meter.widenedBy]).toEqual([['outbox-overflow', 1]]);
    expect(logs.of('error')).toHaveLength(2);
  });

  it.each([
    [1, '1 invalidation'],
    [2, '2 invalidations'],
  ])('logs that Redis has taken %i that waited', (count, expected) => {
    const { reports, errors, logs } = make();
    reports.drained(count);
    expect(logs.of('log')).toEqual([
      `Redis has accepted what waited in the outbox: ${expected}.`,
    ]);
    expect(errors).toEqual([]);
  });

  it('logs nothing where nothing had waited', () => {
    const { reports, logs } = make();
    reports.drained(0);
    expect(logs.lines).toEqual([]);
  });
});
