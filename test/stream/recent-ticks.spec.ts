import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecentTicks } from '../../lib/stream/recent-ticks.js';

/** Size of a key that is as long as a message may be. */
const LONG = 1_048_576;

describe('RecentTicks', () => {
  it('remembers at least as many keys as its limit, and forgets as many at once', () => {
    const ticks = new RecentTicks(3);
    for (let at = 1; at <= 5; at++) expect(ticks.set(`${at}`, at)).toBeNull();
    expect([...ticks]).toHaveLength(5);
    expect(ticks.set('6', 6)).toBe(3);
    expect([...ticks]).toEqual([
      ['4', 4],
      ['5', 5],
      ['6', 6],
    ]);
    expect(ticks.has('3')).toBe(false);
    expect(ticks.has('4')).toBe(true);
  });

  it('has the latest tick of a key that is set again, in whichever generation', () => {
    const ticks = new RecentTicks(2);
    ticks.set('a', 1);
    ticks.set('b', 2);
    ticks.set('a', 3);
    expect(ticks.get('a')).toBe(3);
    expect([...ticks]).toEqual([
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ]);
    ticks.set('a', 4);
    expect([ticks.get('a'), ticks.get('b')]).toEqual([4, 2]);
  });

  it('returns the latest of the forgotten ticks, in whichever order they were set', () => {
    const ticks = new RecentTicks(2);
    for (const [key, tick] of Object.entries({ a: 9, b: 2, c: 3 })) {
      expect(ticks.set(key, tick)).toBeNull();
    }
    expect(ticks.set('d', 4)).toBe(9);
  });

  it('forgets sooner when the keys use too much memory', () => {
    const ticks = new RecentTicks(50_000);
    const forgotten: (number | null)[] = [];
    for (let at = 1; at <= 18; at++) {
      forgotten.push(ticks.set(`${at}:`.padEnd(LONG, 'x'), at));
    }
    // Nine keys are more than the eight megabytes of a generation.
    expect(forgotten.filter((tick) => tick !== null)).toEqual([9]);
    expect([...ticks]).toHaveLength(9);
  });

  it('counts a key that is set again once, and starts from zero after clear()', () => {
    const ticks = new RecentTicks(50_000);
    const key = 'x'.repeat(LONG);
    for (let at = 0; at < 40; at++) expect(ticks.set(key, at)).toBeNull();
    ticks.set(`y${key}`, 40);
    ticks.clear();
    expect([...ticks]).toEqual([]);
    for (let at = 0; at < 17; at++) {
      expect(ticks.set(`${at}:`.padEnd(LONG, 'x'), at)).toBeNull();
    }
  });

  it('knows every key whose tick is later than the last forgotten one', () => {
    const sets = fc.array(fc.nat({ max: 12 }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), sets, (limit, keys) => {
        const ticks = new RecentTicks(limit);
        const latest = new Map<string, number>();
        let unknown = -1;
        for (const [tick, key] of keys.entries()) {
          latest.set(`${key}`, tick);
          unknown = ticks.set(`${key}`, tick) ?? unknown;
        }
        const known = [...latest].filter(([, tick]) => tick > unknown);
        expect(known.map(([key]) => [key, ticks.get(key)])).toEqual(known);
        expect([...ticks].length).toBeLessThanOrEqual(2 * limit);
      }),
    );
  });
});
