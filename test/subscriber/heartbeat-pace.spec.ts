import { describe, expect, it, vi } from 'vitest';
import type { DurableOutbox } from '../../lib/publisher/index.js';
import { HeartbeatPace } from '../../lib/subscriber/index.js';
import { breathe, stopTime } from './clock.js';
import { makeInstance } from './parts.js';

const timesOf = ({ heartbeatInterval, heartbeatTimeout }: HeartbeatPace) => [
  heartbeatInterval,
  heartbeatTimeout,
];

function makePace(heartbeatInterval = 5_000, heartbeatTimeout = 3_000) {
  return new HeartbeatPace({ heartbeatInterval, heartbeatTimeout });
}

describe('HeartbeatPace', () => {
  it('is that of the options without a bound', () => {
    const pace = makePace();
    expect(timesOf(pace)).toEqual([5_000, 3_000]);
    expect(pace.strictest).toBeNull();
  });

  it.each([
    [60_000, [5_000, 3_000]],
    [16_000, [4_000, 3_000]],
    [2_500, [625, 625]],
    [1_000, [250, 500]],
  ])('has four heartbeats in a bound of %i ms', (maxStaleness, expected) => {
    const pace = makePace();
    pace.bound('Permission', maxStaleness);
    expect(timesOf(pace)).toEqual(expected);
  });

  it('slows nothing down', () => {
    const pace = makePace(100, 50);
    pace.bound('Permission', 2_000);
    expect(timesOf(pace)).toEqual([100, 50]);
  });

  it('follows the strictest bound, and says when there is a stricter one', () => {
    const pace = makePace();
    const listener = vi.fn();
    pace.whenStricter(listener);
    pace.bound('Permission', 4_000);
    pace.bound('Role', 8_000);
    pace.bound('Other', 4_000);
    expect(listener).toHaveBeenCalledTimes(1);
    expect(pace.strictest).toEqual({
      cache: 'Permission',
      maxStaleness: 4_000,
    });
    pace.bound('Role', 2_000);
    expect(listener).toHaveBeenCalledTimes(2);
    expect(timesOf(pace)).toEqual([500, 500]);
  });
});

describe('SubscriptionSession: the bound of a cache', () => {
  async function startSession(durableOutbox?: DurableOutbox) {
    stopTime();
    const made = makeInstance({
      heartbeatInterval: 5_000,
      heartbeatTimeout: 3_000,
      durableOutbox,
    });
    const { transport, session } = made;
    transport.obliging = true;
    const started = session.start();
    transport.listener!.onWritable();
    transport.listener!.onSubscribed();
    await started;
    return { ...made, ping: vi.spyOn(transport, 'ping') };
  }

  it('quickens the heartbeats at once, also after the start', async () => {
    const { tracker, ping, session } = await startSession();
    await vi.advanceTimersByTimeAsync(4_000);
    expect(ping).not.toHaveBeenCalled();
    tracker.boundStaleness('Permission', 2_000, null);
    for (let beat = 1; beat <= 4; beat++) {
      await vi.advanceTimersByTimeAsync(500);
      await breathe();
      expect(ping).toHaveBeenCalledTimes(beat);
    }
    await session.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ping).toHaveBeenCalledTimes(4);
  });

  it('is not reached while Redis answers', async () => {
    const { tracker, session } = await startSession();
    tracker.boundStaleness('Permission', 2_000, null);
    let longest = 0;
    for (let ms = 0; ms < 20_000; ms += 50) {
      await vi.advanceTimersByTimeAsync(50);
      if (ms > 1_000) longest = Math.max(longest, tracker.withoutProof);
    }
    expect(longest).toBeGreaterThan(0);
    expect(longest).toBeLessThanOrEqual(500);
    await session.stop();
  });

  it('quickens no sweep of the durable outbox', async () => {
    const pending = vi.fn(async () => []);
    const { tracker, session } = await startSession({
      pending,
      remove: async () => {},
    });
    tracker.boundStaleness('Permission', 2_000, null);
    pending.mockClear();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(pending.mock.calls.length).toBeGreaterThanOrEqual(4);
    expect(pending.mock.calls.length).toBeLessThanOrEqual(5);
    await session.stop();
  });
});

describe('PositionTracker.whenStale()', () => {
  it('calls at the bound, and again after each such time, until there is proof', () => {
    stopTime();
    const { tracker, staleness } = makeInstance();
    const listener = vi.fn();
    const end = tracker.whenStale(2_000, listener);
    const callsAfter = (ms: number): number => {
      vi.advanceTimersByTime(ms);
      return listener.mock.calls.length;
    };
    // Nothing is watched before the start.
    expect(callsAfter(10_000)).toBe(0);
    staleness.start(() => {});
    vi.advanceTimersByTime(1_500);
    staleness.proven(performance.now());
    expect(callsAfter(1_999)).toBe(0);
    expect([1, 1_999, 1, 2_000].map(callsAfter)).toEqual([1, 1, 2, 3]);
    staleness.proven(performance.now());
    expect([1_999, 1].map(callsAfter)).toEqual([3, 4]);
    end();
    expect(callsAfter(10_000)).toBe(4);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends with the session', () => {
    stopTime();
    const { tracker } = makeInstance();
    tracker.whenStale(2_000, () => expect.unreachable());
    tracker.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('BlindSources: a source that is proven too rarely for a bound', () => {
  it.each([
    [1_000, 0],
    [1_001, 1],
  ])('is logged: every %i ms', (period, lines) => {
    stopTime();
    const made = makeInstance();
    const record = made.transport.relayRecord('postgres', '');
    made.proofs.watch('postgres:test', record, period);
    made.tracker.boundStaleness('Permission', 2_000, null);
    made.blind.check();
    made.blind.check();
    const slow = made.lines.filter((line) => line.includes('proven only'));
    expect(slow).toHaveLength(lines);
  });
});
