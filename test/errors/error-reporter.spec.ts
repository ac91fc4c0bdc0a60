import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  CallbackFailedError,
  InvalidationRedisError,
  InvalidationTimeoutError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';

const failure = (what: string, cause?: unknown) =>
  new InvalidationRedisError(what, 'Trying again.', cause);

describe('ErrorReporter', () => {
  let logs: CapturingLogger;
  let reporter: ErrorReporter;
  let emitted: CacheInvalidationError[];

  beforeEach(() => {
    // Only the date is faked: the reporter has no timer.
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
    logs = new CapturingLogger();
    Logger.overrideLogger(logs);
    reporter = new ErrorReporter();
    emitted = [];
    reporter.errors$.subscribe((error) => emitted.push(error));
  });

  afterEach(() => void vi.useRealTimers());

  it('logs what happened and what to do', () => {
    reporter.report(failure('Redis is away.', new Error('ECONNRESET')));

    expect(logs.lines).toEqual([
      {
        level: 'error',
        message: 'Redis is away. Trying again.',
        // No stack: the stack of a socket's error is of no use.
        rest: [undefined, 'CacheInvalidation'],
      },
    ]);
  });

  it("logs the stack of the application's own error, where it has one", () => {
    const mistake = new Error('mistake');

    for (const cause of [mistake, 'a string']) {
      const source = `A.on (${String(cause)})`;
      reporter.report(
        new CallbackFailedError(source, 'failed', '', cause),
        source,
      );
    }

    expect(logs.lines.map(({ rest }) => rest)).toEqual([
      [mistake.stack, 'CacheInvalidation'],
      [undefined, 'CacheInvalidation'],
    ]);
  });

  it('logs a source at most once a second, with the number of suppressed errors', () => {
    for (let n = 1; n <= 100; n++) reporter.report(failure(`Number ${n}.`));
    vi.setSystemTime(1_000_999);
    reporter.report(failure('Still quiet.'));
    expect(logs.of('error')).toEqual(['Number 1. Trying again.']);

    vi.setSystemTime(1_001_000);
    reporter.report(failure('Again.'));
    reporter.report(failure('Quiet again.'));

    expect(logs.of('error')).toEqual([
      'Number 1. Trying again.',
      'Again. Trying again. (and 100 more like it)',
    ]);

    vi.setSystemTime(1_002_000);
    reporter.report(failure('Later.'));
    vi.setSystemTime(1_003_000);
    reporter.report(failure('Later still.'));

    expect(logs.of('error').slice(2)).toEqual([
      'Later. Trying again. (and 1 more like it)',
      'Later still. Trying again.',
    ]);
  });

  it('emits every error', () => {
    const errors = Array.from({ length: 100 }, (_, n) => failure(`${n}`));

    for (const error of errors) reporter.report(error);

    expect(emitted).toEqual(errors);
    expect(emitted[0]).toBe(errors[0]);
  });

  it('suppresses errors by source', () => {
    reporter.report(failure('First.'), 'A.method');
    reporter.report(failure('Second.'), 'B.method');
    reporter.report(failure('Third.'), 'A.method');
    reporter.report(failure('Fourth.'));

    expect(logs.of('error')).toEqual([
      'First. Trying again.',
      'Second. Trying again.',
      'Fourth. Trying again.',
    ]);
  });

  it('continues to log when the clock is set back', () => {
    reporter.report(failure('Before.'));
    vi.setSystemTime(500_000);

    reporter.report(failure('After.'));
    reporter.report(failure('Held back.'));

    expect(logs.of('error')).toEqual([
      'Before. Trying again.',
      'After. Trying again.',
    ]);
  });

  it('remembers a bounded number of sources', () => {
    for (let n = 0; n < 1_000; n++)
      reporter.report(failure('.'), `source ${n}`);
    reporter.report(failure('Known.'), 'source 0');
    expect(logs.of('error')).toHaveLength(1_000);

    reporter.report(failure('One more.'), 'source 1000');
    reporter.report(failure('Forgotten.'), 'source 0');

    // Errors whose rate is forgotten are logged at once: never less than
    // without a bound.
    expect(logs.of('error').slice(1_000)).toEqual([
      'One more. Trying again.',
      'Forgotten. Trying again.',
    ]);
  });

  it('logs errors of Redis once a minute after ten seconds of outage', () => {
    const at = (seconds: number): void => {
      vi.setSystemTime(1_000_000 + seconds * 1_000);
      reporter.report(failure('Away.'));
      const late = new InvalidationTimeoutError('Late.', '', 200);
      reporter.report(late);
    };
    for (let second = 0; second < 10; second += 2) at(second);
    expect(logs.of('error')).toHaveLength(10);

    for (let second = 10; second < 190; second += 5) at(second);
    expect(logs.of('error').slice(10)).toEqual([
      'Away. Trying again.',
      'Away. Trying again. (and 23 more like it)',
      'Away. Trying again. (and 23 more like it)',
    ]);
    expect(reporter.redisAnswers()).toBe(185_000);
    expect(reporter.redisAnswers()).toBeNull();

    at(186);
    at(188);
    expect(logs.of('error').slice(13)).toHaveLength(4);
    expect(emitted).toHaveLength(2 * 43);
  });

  it('does not treat errors with pauses between them as one outage', () => {
    for (let n = 0; n < 10; n++) {
      vi.setSystemTime(1_000_000 + n * 16_000);
      reporter.report(failure('Now and then.'));
    }
    expect(logs.of('error')).toHaveLength(10);
    expect(reporter.redisAnswers()).toBeNull();
  });

  /** Redis fails at these seconds, by one source. */
  const failAt = (source: string | undefined, ...seconds: number[]): void => {
    for (const second of seconds) {
      vi.setSystemTime(1_000_000 + second * 1_000);
      reporter.report(failure('Away.'), source);
    }
  };
  const answersAt = (second: number): number | null => {
    vi.setSystemTime(1_000_000 + second * 1_000);
    return reporter.redisAnswers();
  };

  it('logs the next long outage at once, if Redis has answered between them', () => {
    failAt(undefined, 0, 5, 10);
    expect(answersAt(12)).toBe(12_000);
    logs.lines.length = 0;
    failAt(undefined, 14, 19, 24);
    // The two errors of a short outage, and the first of a long one.
    expect(logs.of('error')).toHaveLength(3);
  });

  it('logs no outage at once after one that only paused', () => {
    failAt(undefined, 0, 5, 10);
    failAt(undefined, 30);
    expect(answersAt(31)).toBeNull();
    logs.lines.length = 0;
    failAt(undefined, 32, 37, 42);
    expect(logs.of('error')).toHaveLength(2);
  });

  it('takes errors that are fifteen seconds apart for one outage', () => {
    failAt(undefined, 0, 15);
    expect(answersAt(16)).toBe(16_000);
  });

  it('begins a new outage when the clock is set back', () => {
    failAt(undefined, 0, 5, 10);
    failAt(undefined, -100, -95, -90);
    expect(answersAt(-88)).toBe(12_000);
  });

  it('keeps outages of other servers apart from that of its own Redis', () => {
    failAt('second tier', 0, 5, 10, 15);
    expect(logs.of('error')).toHaveLength(3);
    expect(answersAt(16)).toBeNull();
    failAt(undefined, 17, 22, 27);
    expect(logs.of('error')).toHaveLength(6);
    expect(answersAt(28)).toBe(11_000);
  });

  it('remembers a bounded number of outages', () => {
    const others = (count: number): void => {
      for (let n = 0; n < count; n++) failAt(`server ${n}`, 10);
    };
    failAt(undefined, 0, 10);
    others(999);
    expect(answersAt(11)).toBe(11_000);
    failAt(undefined, 20, 30);
    failAt('one more', 30);
    expect(answersAt(31)).toBeNull();
  });

  it('logs other lines by their level, and holds them back alike', () => {
    reporter.log('warn', 'Late.', 'a');
    reporter.log('warn', 'Late.', 'a');
    reporter.log('log', 'Back.', 'b');
    vi.setSystemTime(1_001_000);
    reporter.log('warn', 'Late again.', 'a');
    expect(logs.lines.map(({ level, message }) => [level, message])).toEqual([
      ['warn', 'Late.'],
      ['log', 'Back.'],
      ['warn', 'Late again. (and 1 more like it)'],
    ]);
    expect(emitted).toEqual([]);
  });

  it('ends what it emits', () => {
    let completed = false;
    reporter.errors$.subscribe({ complete: () => (completed = true) });
    reporter.complete();
    expect(completed).toBe(true);
  });

  it('suppresses errors of the application for one second only', () => {
    for (let n = 0; n < 60; n++) {
      vi.setSystemTime(1_000_000 + n * 1_000);
      reporter.report(new CallbackFailedError('A.on', 'failed', '', null));
    }
    expect(logs.of('error')).toHaveLength(60);
  });

  it('continues for other subscribers when one unsubscribes', () => {
    const again: unknown[] = [];
    const subscription = reporter.errors$.subscribe((e) => again.push(e));
    reporter.report(failure('One.'));
    subscription.unsubscribe();

    reporter.report(failure('Two.'));

    expect(again).toHaveLength(1);
    expect(emitted).toHaveLength(2);
  });
});
