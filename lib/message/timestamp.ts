/**
 * RFC 3339 in UTC, hand-written for the hot path: `toISOString` costs ten times
 * as much and stops at milliseconds, `Date.parse` four times. Messages of one
 * moment share the part up to the second, so that part is remembered.
 *
 * @see https://www.rfc-editor.org/rfc/rfc3339
 */
const RFC_3339 =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;
const SECONDS_LENGTH = 'YYYY-MM-DDTHH:MM:SS'.length;

let anchor = performance.timeOrigin;

/**
 * The wall clock in milliseconds, with microseconds behind the point: the
 * millisecond is `Date.now()`'s, the fraction is the monotonic clock's.
 *
 * @internal
 */
export function wallClock(): number {
  const millisecond = Date.now();
  const guess = anchor + performance.now();
  if (guess >= millisecond && guess < millisecond + 1) return guess;
  // The wall clock was adjusted, or drifted: follow it.
  const clamped = guess < millisecond ? millisecond : millisecond + 0.999;
  anchor += clamped - guess;
  return clamped;
}

let writtenSecond = Number.NaN;
let writtenPrefix = '';

/** @internal */
export function formatTimestamp(time: number): string {
  const second = Math.floor(time / 1_000);
  if (second !== writtenSecond) {
    writtenSecond = second;
    writtenPrefix = new Date(second * 1_000)
      .toISOString()
      .slice(0, SECONDS_LENGTH);
  }
  const micros = Math.floor((time - second * 1_000) * 1_000);
  return `${writtenPrefix}.${String(1_000_000 + micros).slice(1)}Z`;
}

let readPrefix = '';
let readSecond = 0;

/** @internal */
export function isTimestamp(value: unknown): value is string {
  return typeof value === 'string' && RFC_3339.test(value);
}

/**
 * Milliseconds since the epoch, or `NaN` if it is not RFC 3339.
 *
 * @internal
 */
export function parseTimestamp(text: string): number {
  const prefix = text.slice(0, SECONDS_LENGTH);
  if (prefix !== readPrefix || !text.endsWith('Z')) return parseSlowly(text);
  const fraction = fractionOf(text);
  return fraction < 0 ? parseSlowly(text) : readSecond + fraction;
}

/** Milliseconds of `.876695557Z`; -1 where that is not what follows. */
function fractionOf(text: string): number {
  const end = text.length - 1;
  const digits = end - SECONDS_LENGTH - 1;
  if (digits === -1) return 0;
  if (digits < 1 || digits > 9 || text[SECONDS_LENGTH] !== '.') return -1;
  let value = 0;
  for (let at = SECONDS_LENGTH + 1; at < end; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value * 10 ** (3 - digits);
}

function parseSlowly(text: string): number {
  if (!isTimestamp(text)) return Number.NaN;
  // Date knows no leap second; it is the last moment of its minute.
  const time = Date.parse(text.toUpperCase().replace(/:60(?=[.Z+-])/, ':59'));
  const prefix = text.slice(0, SECONDS_LENGTH);
  const second = Date.parse(`${prefix}Z`);
  if (!Number.isNaN(second)) {
    readPrefix = prefix;
    readSecond = second;
  }
  // Date stops at milliseconds.
  const [, rest = ''] = /\.\d{3}(\d+)/.exec(text) ?? [];
  return time + Number(`0.${rest}0`);
}
