import * as fc from 'fast-check';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  formatTimestamp,
  fractionAtEnd,
  parseTimestamp,
  wallClock,
} from '../../lib/message/index.js';
import { timestamp } from './arbitraries.js';

/** Milliseconds in the years that four digits can write. */
const FIRST = Date.parse('0000-01-01T00:00:00Z');
const LAST = Date.parse('9999-12-31T23:59:59.999Z');
const millisecond = fc.integer({ min: FIRST, max: LAST });

/** Expected time of a timestamp: the second by Date, the fraction by hand. */
function meaning(text: string): number {
  const [, second, digits = ''] = /^(.{19})(?:\.(\d+))?/.exec(text)!;
  return Date.parse(`${second}Z`) + Number(`0.${digits}0`) * 1_000;
}

describe('formatTimestamp()', () => {
  it('writes the format of Date with three more digits', () => {
    fc.assert(
      fc.property(millisecond, (time) => {
        const expected = new Date(time).toISOString().replace('Z', '000Z');
        expect(formatTimestamp(time)).toBe(expected);
        expect(formatTimestamp(time)).toBe(expected);
      }),
    );
  });

  it('writes whole microseconds, rounded down', () => {
    expect(formatTimestamp(0.001_9)).toBe('1970-01-01T00:00:00.000001Z');
    expect(formatTimestamp(999.999_9)).toBe('1970-01-01T00:00:00.999999Z');
    expect(formatTimestamp(1_000)).toBe('1970-01-01T00:00:01.000000Z');
    expect(formatTimestamp(-0.001)).toBe('1969-12-31T23:59:59.999999Z');
  });

  it('is read back to the microsecond', () => {
    const time = fc.double({ min: 0, max: 4e12, noNaN: true });
    fc.assert(
      fc.property(time, (now) => {
        const read = parseTimestamp(formatTimestamp(now));
        expect(now - read).toBeGreaterThan(-0.001);
        expect(now - read).toBeLessThan(0.002);
      }),
    );
  });
});

describe('parseTimestamp()', () => {
  it('agrees with Date to the millisecond', () => {
    fc.assert(
      fc.property(timestamp, (text) => {
        const beyond = parseTimestamp(text) - Date.parse(text);
        // Nine nines are rounded up.
        expect(beyond >= 0 && beyond <= 1).toBe(true);
      }),
    );
  });

  it('keeps digits below the millisecond', () => {
    fc.assert(
      fc.property(timestamp, (text) => {
        expect(parseTimestamp(text)).toBeCloseTo(meaning(text), 1);
      }),
    );
  });

  it('does not depend on the timestamp parsed before', () => {
    fc.assert(
      fc.property(timestamp, timestamp, (text, other) => {
        const fresh = parseTimestamp(text);
        expect(parseTimestamp(text)).toBeCloseTo(fresh, 1);
        parseTimestamp(other);
        expect(parseTimestamp(text)).toBeCloseTo(fresh, 1);
      }),
    );
  });

  it('supports UTC offsets', () => {
    const offset = fc.record({
      sign: fc.constantFrom('+', '-'),
      hours: fc.integer({ min: 0, max: 23 }),
      minutes: fc.integer({ min: 0, max: 59 }),
    });
    const two = (n: number): string => String(n).padStart(2, '0');
    fc.assert(
      fc.property(millisecond, offset, (time, { sign, hours, minutes }) => {
        const utc = new Date(time).toISOString();
        const text = utc.replace('Z', `${sign}${two(hours)}:${two(minutes)}`);
        const shift = (hours * 60 + minutes) * 60_000;
        expect(parseTimestamp(utc)).toBe(time);
        expect(parseTimestamp(text)).toBe(
          sign === '+' ? time - shift : time + shift,
        );
      }),
    );
  });

  it.each([
    ['2016-12-31T23:59:60Z', '2016-12-31T23:59:59Z'],
    ['2016-12-31T23:59:60.25Z', '2016-12-31T23:59:59.25Z'],
    ['2016-12-31T15:59:60-08:00', '2016-12-31T23:59:59Z'],
    ['2026-11-22t13:17:12.5z', '2026-11-22T13:17:12.5Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'],
  ])('reads %s as %s', (text, same) => {
    expect(parseTimestamp(text)).toBe(Date.parse(same));
    expect(parseTimestamp(text)).toBe(Date.parse(same));
  });

  const SECOND = '2026-11-22T13:17:12';
  it.each([
    '',
    'Z',
    'now',
    '2026',
    '2026-11-22',
    SECOND,
    `${SECOND}.Z`,
    `${SECOND}.1`,
    `${SECOND}.1234567890Z`,
    `${SECOND}.12 4Z`,
    `${SECOND}.12/Z`,
    `${SECOND}.12:Z`,
    `${SECOND},5Z`,
    `${SECOND}5Z`,
    `${SECOND}ZZ`,
    `${SECOND}Z\n`,
    ` ${SECOND}Z`,
    `${SECOND}+1:00`,
    `${SECOND}+0100`,
    `${SECOND}+24:00`,
    `${SECOND}+01:60`,
    `${SECOND}.-1Z`,
    `${SECOND}.1e1Z`,
    '2026-11-22 13:17:12Z',
    '2026-00-22T13:17:12Z',
    '2026-13-22T13:17:12Z',
    '2026-11-00T13:17:12Z',
    '2026-11-32T13:17:12Z',
    '2026-11-22T24:17:12Z',
    '2026-11-22T13:60:12Z',
    '2026-11-22T13:17:61Z',
    '+002026-11-22T13:17:12Z',
    '٢٠٢٦-11-22T13:17:12Z',
  ])('returns NaN for %j', (text) => {
    parseTimestamp(`${SECOND}Z`);
    expect(parseTimestamp(text)).toBeNaN();
    expect(parseTimestamp(`${SECOND}Z`)).toBe(Date.parse(`${SECOND}Z`));
  });
});

describe('fractionAtEnd()', () => {
  const SECOND = '2026-11-22T13:17:12';

  it.each([
    ['Z', 0],
    ['.5Z', 500],
    ['.05Z', 50],
    ['.876695Z', 876.695],
    ['.876695557Z', 876.695_557],
    ['.000000000Z', 0],
    ['.999999999Z', 999.999_999],
  ])('reads %s as %d ms', (ending, ms) => {
    expect(fractionAtEnd(`${SECOND}${ending}`)).toBeCloseTo(ms, 6);
  });

  it.each([
    '',
    'z',
    '+00:00',
    '.5',
    '.5z',
    '.5+00:00',
    '.Z',
    '0Z',
    ',5Z',
    '5Z',
    '.1234567890Z',
    '.12/Z',
    '.12:Z',
    '.1e1Z',
    '.-1Z',
    '.1.2Z',
    '.1ZZ',
  ])('leaves %j to the full check', (ending) => {
    expect(fractionAtEnd(`${SECOND}${ending}`)).toBe(-1);
  });

  it.each(['', 'Z', '2026-11-22T13:17:1Z'])(
    'leaves the shorter text %j to the full check',
    (text) => {
      expect(fractionAtEnd(text)).toBe(-1);
    },
  );
});

describe('wallClock()', () => {
  afterEach(() => vi.useRealTimers());
  /** A monotonic clock that is far enough ahead for the wall clock to be read again. */
  let later = 0;
  const pass = (): number => (later = Math.max(later, performance.now()) + 200);

  /** Whether the wall clock is in the millisecond of Date, but for rounding. */
  function agrees(monotonic: number): boolean {
    const before = Date.now();
    const now = wallClock(monotonic);
    return now > before - 0.01 && now < Date.now() + 1.01;
  }

  it('is within a millisecond of Date', () => {
    for (let i = 0; i < 20_000; i++) {
      const before = Date.now();
      const now = wallClock();
      expect(now > before - 1 && now < Date.now() + 2).toBe(true);
    }
  });

  it('has a resolution below a millisecond', () => {
    const fractions = Array.from({ length: 1_000 }, () => wallClock() % 1);
    expect(new Set(fractions).size).toBeGreaterThan(10);
  });

  it.each([
    ['back an hour', -3_600_000],
    ['ahead an hour', 3_600_000],
    ['back two milliseconds', -2],
    ['back half a century', -1_600_000_000_000],
  ])('follows, within 100 ms, a clock that is set %s', (_, shift) => {
    const actual = Date.now();
    vi.setSystemTime(actual + shift);
    expect(agrees(pass())).toBe(true);
    vi.useRealTimers();
    expect(agrees(pass())).toBe(true);
  });

  it('follows both clocks back to the actual time after fake timers', () => {
    const actual = performance.now();
    vi.setSystemTime(Date.now() - 3_600_000);
    wallClock(actual + 86_400_000);
    vi.useRealTimers();
    expect(agrees(actual)).toBe(true);
  });

  it('keeps its microseconds where Date agrees, and follows it where not', () => {
    const date = vi.spyOn(Date, 'now');
    onTestFinished(() => date.mockRestore());
    const read = (monotonic: number, now: number): number => {
      date.mockReturnValue(now);
      return wallClock(monotonic) - now;
    };
    const began = Math.ceil(pass());
    const at = Date.UTC(2100, 0);
    expect(read(began, at)).toBeCloseTo(0, 2);
    expect(read(began + 200.25, at + 200)).toBeCloseTo(0.25, 2);
    expect(read(began + 400.25, at + 399)).toBeCloseTo(0.999, 2);
    expect(read(began + 600.25, at + 602)).toBeCloseTo(0, 2);
  });

  it('reads Date once in 100 ms', () => {
    const date = vi.spyOn(Date, 'now');
    onTestFinished(() => date.mockRestore());
    const began = Math.ceil(pass());
    for (const ms of [0, 1, 99, 100]) wallClock(began + ms);
    expect(date).toHaveBeenCalledTimes(2);
  });
});
