import { afterEach, describe, expect, it, vi } from 'vitest';
import { lifetimeOf } from '../../lib/cache/near/lifetime.js';

afterEach(() => void vi.restoreAllMocks());

describe('lifetimeOf()', () => {
  it('is the ttl of a value that exists, and at most that of one that does not', () => {
    const options = { negativeTtl: 50, ttlJitter: 0 };
    for (const value of ['a', 0, '', false]) {
      expect(lifetimeOf(value, 100, options)).toBe(100);
    }
    for (const value of [null, undefined]) {
      expect(lifetimeOf(value, 100, options)).toBe(50);
      expect(lifetimeOf(value, 20, options)).toBe(20);
      expect(lifetimeOf(value, 100, { ...options, negativeTtl: 0 })).toBe(0);
    }
  });

  it.each([
    [0, 100],
    [0.5, 95],
    [0.999, 91],
  ])('is shortened by a random share of the jitter: %d', (random, ms) => {
    vi.spyOn(Math, 'random').mockReturnValue(random);
    const options = { negativeTtl: 0, ttlJitter: 0.1 };
    expect(lifetimeOf('a', 100, options)).toBe(ms);
  });
});
