import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { reconnectDelay } from '../../lib/common/index.js';

describe('reconnectDelay()', () => {
  beforeEach(() => void vi.spyOn(Math, 'random'));
  afterEach(() => void vi.restoreAllMocks());

  const longest = (attempt: number): number => {
    vi.mocked(Math.random).mockReturnValue(1);
    return reconnectDelay(attempt);
  };

  it('is short for about ten seconds of tries', () => {
    expect([0, 1, 2, 3].map(longest)).toEqual([75, 125, 225, 425]);
    expect(longest(31)).toBe(525);
    vi.mocked(Math.random).mockReturnValue(0.5);
    const tries = Array.from({ length: 32 }, (_, n) => reconnectDelay(n));
    const total = tries.reduce((sum, each) => sum + each, 0);
    expect(total).toBeGreaterThan(7_000);
    expect(total).toBeLessThan(12_000);
  });

  it('grows to five seconds after that, and no further', () => {
    expect([32, 33, 34, 35, 36, 5_000].map(longest)).toEqual([
      1_025, 2_025, 4_025, 5_025, 5_025, 5_025,
    ]);
  });

  it('is jittered', () => {
    vi.mocked(Math.random).mockReturnValue(0);
    expect(reconnectDelay(100)).toBe(25);
  });
});
