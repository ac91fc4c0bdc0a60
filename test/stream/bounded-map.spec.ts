import { describe, expect, it } from 'vitest';
import { BoundedMap } from '../../lib/stream/bounded-map.js';

/** Size of a key that is as long as a message may be. */
const LONG = 1_048_576;

describe('BoundedMap', () => {
  it('holds as many entries as its limit, the newest ones, oldest first', () => {
    const map = new BoundedMap<number>(3);
    for (let at = 1; at <= 3; at++) expect(map.set(`${at}`, at)).toBeNull();
    // Set again, it is the newest one.
    expect(map.set('1', 10)).toBeNull();
    expect(map.set('4', 4)).toBe(2);
    expect(map.set('5', 5)).toBe(3);
    expect([...map]).toEqual([
      ['1', 10],
      ['4', 4],
      ['5', 5],
    ]);
  });

  it('evicts the oldest entries when the keys use too much memory', () => {
    const map = new BoundedMap<number>(50_000);
    const keys: string[] = [];
    for (let at = 0; at < 40; at++) {
      const key = `${at}:`.padEnd(LONG, 'x');
      keys.push(key);
      map.set(key, at);
    }
    expect(keys.filter((key) => map.has(key))).toEqual(keys.slice(-16));
  });

  it('set() returns the last of several evicted entries', () => {
    const map = new BoundedMap<number>(50_000);
    for (let at = 0; at < 16; at++) {
      map.set(`${at}:`.padEnd(LONG - 1, 'x'), at);
    }
    expect(map.set('y'.repeat(3 * LONG), 16)).toBe(2);
  });

  it('counts a key that is set again once, and starts from zero after clear()', () => {
    const map = new BoundedMap<number>(50_000);
    const key = 'x'.repeat(LONG);
    for (let at = 0; at < 40; at++) expect(map.set(key, at)).toBeNull();
    map.clear();
    for (let at = 0; at < 16; at++) {
      expect(map.set(`${at}:`.padEnd(LONG, 'x'), at)).toBeNull();
    }
  });

  it('does not keep a key that is too long by itself', () => {
    const map = new BoundedMap<number>(50_000);
    expect(map.set('x'.repeat(17 * LONG), 1)).toBe(1);
    expect(map.set('y', 2)).toBeNull();
    expect(map.get('y')).toBe(2);
  });
});
