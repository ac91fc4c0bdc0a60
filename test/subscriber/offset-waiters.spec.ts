import { describe, expect, it, vi } from 'vitest';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../../lib/errors/index.js';
import { OffsetWaiters } from '../../lib/subscriber/offset-waiters.js';
import { breathe, stopTime } from './clock.js';

/** Waits for offsets, and records how each wait ends. */
function makeWaiters() {
  const waiters = new OffsetWaiters();
  const settled: string[] = [];
  const errors: Error[] = [];
  const wait = (offset: string, timeout = 1_000): void => {
    waiters.wait(offset, timeout).then(
      () => settled.push(offset),
      (error: Error) => errors.push(error),
    );
  };
  return { waiters, settled, errors, wait };
}

describe('OffsetWaiters', () => {
  it('settles the calls whose offset the position has reached, in any order', async () => {
    stopTime();
    const { waiters, settled, wait } = makeWaiters();
    for (const offset of ['1-0', '9-0', '5-0', '10-0']) wait(offset);

    const reached: string[][] = [];
    for (const position of ['0-9', '1-0', '5-0', '9-5', '10-0']) {
      waiters.reached(position);
      await breathe();
      reached.push(settled.splice(0));
    }

    expect(reached).toEqual([[], ['1-0'], ['5-0'], ['9-0'], ['10-0']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('settles a call for an offset before the others', async () => {
    stopTime();
    const { waiters, settled, wait } = makeWaiters();
    for (const offset of ['5-0', '3-0', '4-0']) wait(offset);
    waiters.reached('3-0');
    await breathe();
    expect(settled).toEqual(['3-0']);
    waiters.reached('4-0');
    await breathe();
    expect(settled).toEqual(['3-0', '4-0']);
  });

  it('knows whether any call waits', async () => {
    stopTime();
    const { waiters, settled, wait } = makeWaiters();
    expect(waiters.any).toBe(false);
    waiters.reached('1-0');
    wait('2-0');
    expect(waiters.any).toBe(true);
    waiters.reached('2-0');
    expect(waiters.any).toBe(false);
    wait('1-0');
    waiters.reached('1-0');
    await breathe();
    expect(settled).toEqual(['2-0', '1-0']);
  });

  it('rejects a call at its timeout, with the offset', async () => {
    stopTime();
    const { waiters, settled, errors, wait } = makeWaiters();
    wait('5-0', 20);
    wait('6-0', 30);
    await vi.advanceTimersByTimeAsync(19);
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(errors).toEqual([
      new InvalidationTimeoutError(
        'This instance has not reached offset 5-0 within 20 ms.',
        'What it has cached may be older than that; read from the source, or try again.',
        20,
      ),
    ]);
    expect(errors[0]).toMatchObject({ timeout: 20 });
    waiters.reached('6-0');
    await breathe();
    expect(settled).toEqual(['6-0']);
  });

  it('waits for no longer than a timer can', async () => {
    stopTime();
    const { errors, wait } = makeWaiters();
    wait('5-0', Infinity);
    await vi.advanceTimersByTimeAsync(2_147_483_646);
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(errors).toHaveLength(1);
  });

  it('rejects a call at once while a thousand others wait', async () => {
    stopTime();
    const { waiters, errors, wait } = makeWaiters();
    for (let n = 0; n < 1_000; n++) wait(`${n}-0`);
    await breathe();
    expect(errors).toEqual([]);
    wait('2000-0', 40);
    await breathe();
    expect(errors).toEqual([
      new InvalidationTimeoutError(
        '1000 calls already wait for an offset of the journal.',
        'What this instance has cached may be older than that; read from the source, or try again.',
        40,
      ),
    ]);
    waiters.reached('0-0');
    wait('3000-0');
    await breathe();
    expect(errors).toHaveLength(1);
  });

  it('settles all calls when everything was evicted', async () => {
    stopTime();
    const { waiters, settled, wait } = makeWaiters();
    wait('5-0');
    wait('6-0');
    waiters.releaseAll();
    await breathe();
    expect(settled).toEqual(['5-0', '6-0']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('rejects all calls at the end', async () => {
    stopTime();
    const { waiters, errors, wait } = makeWaiters();
    wait('5-0');
    wait('6-0');
    waiters.close();
    await breathe();
    const error = new InvalidationRedisError(
      'The application shuts down.',
      'Ask another instance.',
    );
    expect(errors).toEqual([error, error]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
