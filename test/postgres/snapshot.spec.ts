import { describe, expect, it } from 'vitest';
import { Snapshot } from '../../lib/postgres/wal/snapshot.js';

describe('Snapshot', () => {
  it('sees what was assigned before it and is not in progress', () => {
    const snapshot = Snapshot.parse('700:710:700,705');
    expect([699, 701, 709].map((xid) => snapshot.sees(xid))).toEqual([
      true,
      true,
      true,
    ]);
    expect([700, 705, 710, 711].map((xid) => snapshot.sees(xid))).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(Snapshot.parse('710:710:').sees(709)).toBe(true);
  });

  it('compares ids of 32 bits with its own of 64', () => {
    const epoch = 7n << 32n;
    const text = `${epoch + 5n}:${epoch + 20n}:${epoch + 5n},${epoch + 6n}`;
    const snapshot = Snapshot.parse(text);
    // Before the last wraparound, and after it.
    expect(snapshot.sees(0xffff_fff0)).toBe(true);
    expect(snapshot.sees(4)).toBe(true);
    expect(snapshot.sees(5)).toBe(false);
    expect(snapshot.sees(19)).toBe(true);
    expect(snapshot.sees(20)).toBe(false);
  });

  it('does not see an id beyond a wraparound that is to come', () => {
    const end = (3n << 32n) - 10n;
    const snapshot = Snapshot.parse(`${end}:${end}:`);
    expect(snapshot.sees(0xffff_fff5)).toBe(true);
    expect(snapshot.sees(0xffff_fff6)).toBe(false);
    expect(snapshot.sees(3)).toBe(false);
  });
});
