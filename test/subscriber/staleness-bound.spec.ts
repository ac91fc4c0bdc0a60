import { describe, expect, it, vi } from 'vitest';
import { Staleness, type StalePolicy } from '../../lib/subscriber/index.js';
import { stopTime } from './clock.js';

const pass = (ms: number): void => void vi.advanceTimersByTime(ms);

function makeStaleness(maxStaleness: number, whenStale: StalePolicy = 'widen') {
  stopTime();
  const staleness = new Staleness({ maxStaleness, whenStale });
  let exceeded = 0;
  const start = (): void => staleness.start(() => exceeded++);
  return { staleness, start, times: () => exceeded };
}

describe('Staleness', () => {
  it('is infinite before the first proof, and then the time since the latest one', () => {
    const { staleness, start } = makeStaleness(0);
    expect(staleness.age).toBe(Infinity);
    start();
    pass(10);
    expect(staleness.age).toBe(Infinity);
    const earlier = performance.now();
    pass(10);
    staleness.proven(performance.now());
    pass(5);
    expect(staleness.age).toBe(5);
    // Begun before, and answered later.
    staleness.proven(earlier);
    expect(staleness.age).toBe(5);
    staleness.proven(performance.now());
    expect(staleness.age).toBe(0);
    staleness.stop();
    expect(staleness.age).toBe(Infinity);
  });

  it('has caches bypassed before requests are served, and after the end', () => {
    const { staleness, start } = makeStaleness(0, 'serve');
    expect(staleness.bypass).toBe(true);
    start();
    expect(staleness.bypass).toBe(true);
    staleness.serve();
    expect(staleness.bypass).toBe(false);
    staleness.stop();
    expect(staleness.bypass).toBe(true);
  });

  it('has caches bypassed from the bound on until the next proof', () => {
    const { staleness, start } = makeStaleness(100);
    start();
    staleness.serve();
    staleness.proven(performance.now());
    const seen = [99, 1, 1].map((ms) => {
      pass(ms);
      return staleness.bypass;
    });
    staleness.proven(performance.now());
    expect([...seen, staleness.bypass]).toEqual([false, true, true, false]);
  });

  it('counts from the start where there was no proof yet, and not before the start', () => {
    const { staleness, start } = makeStaleness(100);
    pass(500);
    staleness.serve();
    expect(staleness.exceeded).toBe(false);
    start();
    pass(99);
    expect(staleness.exceeded).toBe(false);
    pass(1);
    expect(staleness.exceeded).toBe(true);
    staleness.stop();
    expect(staleness.exceeded).toBe(false);
  });

  it('bypasses nothing beyond the bound where values are to be served, but tells it', () => {
    const { staleness, start, times } = makeStaleness(100, 'serve');
    start();
    staleness.serve();
    pass(100);
    expect(staleness.exceeded).toBe(true);
    expect(staleness.bypass).toBe(false);
    expect(times()).toBe(1);
  });

  it('has no bound where the option is 0', () => {
    const { staleness, start, times } = makeStaleness(0);
    start();
    staleness.serve();
    staleness.proven(performance.now());
    expect(vi.getTimerCount()).toBe(0);
    pass(1_000_000);
    expect(staleness.exceeded).toBe(false);
    expect(staleness.bypass).toBe(false);
    expect(times()).toBe(0);
  });

  it('tells once that the bound was exceeded, and again after the next proof', () => {
    const { staleness, start, times } = makeStaleness(100);
    start();
    pass(1_000);
    expect(times()).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    staleness.proven(performance.now());
    pass(99);
    expect(times()).toBe(1);
    pass(1);
    expect(times()).toBe(2);
  });

  it('looks at the clock when it can be exceeded at the earliest, with one timer', () => {
    const { staleness, start, times } = makeStaleness(100);
    const begun = performance.now();
    const next = (): number => {
      vi.advanceTimersToNextTimer();
      return performance.now() - begun;
    };
    start();
    pass(60);
    staleness.proven(performance.now() - 0.5);
    staleness.proven(performance.now() - 0.5);
    expect(vi.getTimerCount()).toBe(1);
    expect(next()).toBe(100);
    expect(times()).toBe(0);
    expect(next()).toBe(160);
    expect(times()).toBe(1);
  });

  it('tells nothing any more after the end', () => {
    const { staleness, start, times } = makeStaleness(100);
    start();
    staleness.stop();
    expect(vi.getTimerCount()).toBe(0);
    pass(1_000);
    expect(times()).toBe(0);
    expect(() => staleness.stop()).not.toThrow();
  });
});
