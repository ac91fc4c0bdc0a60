import { describe, expect, it } from 'vitest';
import { JOURNAL_START } from '../../lib/message/index.js';
import { OffsetHorizon } from '../../lib/stream/index.js';

/** Milliseconds of a journal whose clock is far ahead of this one. */
const FAR = 9_000_000_000_000;

describe('OffsetHorizon', () => {
  it('allows what the clock of Redis may have given by now', () => {
    const horizon = new OffsetHorizon();
    expect(horizon.allows(JOURNAL_START)).toBe(true);
    expect(horizon.allows(`${Date.now()}-0`)).toBe(true);
    expect(horizon.allows(`${Date.now() + 600_000}-0`)).toBe(false);
    expect(horizon.allows(`${Date.now()}-7`)).toBe(true);
  });

  it("allows a minute beyond the journal's known end", () => {
    const horizon = new OffsetHorizon();
    expect(horizon.allows(`${FAR}-0`)).toBe(false);
    horizon.sawTail(`${FAR}-5`);
    expect(horizon.tail).toBe(`${FAR}-5`);
    expect(horizon.allows(`${FAR + 60_000}-0`)).toBe(true);
    expect(horizon.allows(`${FAR + 60_000}-1`)).toBe(false);
  });

  it('moves with the entries that are read, and never back by one', () => {
    const horizon = new OffsetHorizon();
    horizon.sawEntry(`${FAR}-0`);
    horizon.sawEntry('5-0');
    horizon.sawEntry(undefined);
    expect(horizon.tail).toBe(`${FAR}-0`);
    expect(horizon.allows(`${FAR}-0`)).toBe(true);
    horizon.sawEntry(`${FAR}-1`);
    expect(horizon.tail).toBe(`${FAR}-1`);
  });

  it('starts with an empty journal, and takes its end as it was read', () => {
    const horizon = new OffsetHorizon();
    expect(horizon.tail).toBe(JOURNAL_START);
    horizon.sawTail('7-0');
    horizon.sawTail('5-0');
    expect(horizon.tail).toBe('5-0');
  });
});

describe('OffsetHorizon: the lag of a position', () => {
  it("is the time between its message and the journal's last one", () => {
    const horizon = new OffsetHorizon();
    horizon.sawTail('5000-3');
    expect(horizon.lagOf('2000-9')).toBe(3_000);
    expect(horizon.lagOf('5000-1')).toBe(0);
    expect(horizon.lagOf('5000-3')).toBe(0);
  });

  it('is zero beyond the known end, and where there is nothing to measure from', () => {
    const horizon = new OffsetHorizon();
    horizon.sawTail('5000-3');
    expect(horizon.lagOf('6000-0')).toBe(0);
    expect(horizon.lagOf(JOURNAL_START)).toBe(0);
    expect(horizon.lagOf(null)).toBe(0);
  });
});
