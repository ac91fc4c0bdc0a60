import { describe, expect, it, vi } from 'vitest';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../../lib/errors/index.js';
import {
  isCancelled,
  isTimeout,
  RedisAnswers,
} from '../../lib/subscriber/redis-answers.js';
import { errorOf, stopTime } from './clock.js';

const never = new Promise<never>(() => undefined);

describe('RedisAnswers', () => {
  it('passes an answer on', async () => {
    const answer = Promise.resolve('pong');
    expect(await new RedisAnswers(20).within('a PING', answer)).toBe('pong');
  });

  it('rejects when the answer takes too long', async () => {
    stopTime();
    const late = new RedisAnswers(20).within('a PING', never);
    const error = new InvalidationTimeoutError(
      'Redis has not answered a PING for 20 ms.',
      'It is asked again; until it answers, this instance is not known to be up to date.',
      20,
    );
    const rejected = errorOf(late);
    await vi.advanceTimersByTimeAsync(20);
    expect(await rejected).toEqual(error);
  });

  it('rejects whatever is waited for when that is of no use any more', async () => {
    stopTime();
    const answers = new RedisAnswers(20);
    const ended = errorOf(answers.within('a PING', never));
    answers.cancel();
    expect(await ended).toEqual(new Error('Redis did not answer in time.'));
    expect(isTimeout(await ended)).toBe(false);
    expect(isCancelled(await ended)).toBe(true);
    expect(isCancelled(new Error('closed'))).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('isTimeout()', () => {
  it('tells a timeout from other errors', () => {
    expect(isTimeout(new InvalidationTimeoutError('', '', 1))).toBe(true);
    expect(isTimeout(new InvalidationRedisError('', ''))).toBe(false);
  });
});
