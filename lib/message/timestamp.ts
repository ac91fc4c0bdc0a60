/*
 * RFC 3339 in UTC with microseconds, written by hand since every message is
 * stamped, checked and measured. The module-level variables are memos that change
 * the cost of an answer and never the answer. Nanoseconds a call, on Node 20:
 *
 * | call                          | with the memo | without                    |
 * | wallClock(monotonic)          |            20 | 70 (Date.now)              |
 * | formatTimestamp, same second  |            60 | 800 (toISOString)          |
 * | parseTimestamp, same second   |           100 | 240 (Date.parse, no check) |
 * | parseTimestamp, same text     |             7 | 100                        |
 */

/** @see https://www.rfc-editor.org/rfc/rfc3339 */
const RFC_3339 =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d):([0-5]\d|60)(\.\d{1,9})?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;
const SECONDS_LENGTH = 'YYYY-MM-DDTHH:MM:SS'.length;

/** How long the wall clock is trusted to run as the monotonic one does. */
const ANCHORED_MS = 100;

let anchor = performance.timeOrigin;
let anchoredAt = -Infinity;

/**
 * The wall clock in milliseconds, with microseconds behind the point. The
 * millisecond comes from `Date.now()` every so often, and from the monotonic clock
 * in between.
 *
 * @param monotonic `performance.now()`, for callers that have just read it
 * @internal
 */
export function wallClock(monotonic = performance.now()): number {
  // The absolute value: a test that ends its fake timers sets this clock back.
  if (Math.abs(monotonic - anchoredAt) >= ANCHORED_MS) {
    const millisecond = Date.now();
    const guess = anchor + monotonic;
    // The wall clock was adjusted, or drifted: follow it.
    if (guess < millisecond) anchor += millisecond - guess;
    else if (guess >= millisecond + 1) anchor += millisecond + 0.999 - guess;
    anchoredAt = monotonic;
  }
  return anchor + monotonic;
}

let writtenSecond = Number.NaN;
let writtenPrefix = '';

/** RFC 3339 in UTC, with microseconds. @internal */
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
let lastText = '';
let lastTime = Number.NaN;

/**
 * Milliseconds since the epoch, or `NaN` for a text that is not RFC 3339. A
 * message is parsed twice, to check it and to measure its lag, so the last result
 * is kept.
 *
 * @internal
 */
export function parseTimestamp(text: string): number {
  if (text !== lastText) {
    lastText = text;
    lastTime = parse(text);
  }
  return lastTime;
}

/** @internal */
export function isTimestamp(value: unknown): value is string {
  return typeof value === 'string' && !Number.isNaN(parseTimestamp(value));
}

function parse(text: string): number {
  if (text.slice(0, SECONDS_LENGTH) !== readPrefix) return parseAnew(text);
  const fraction = fractionAtEnd(text);
  return fraction < 0 ? parseAnew(text) : readSecond + fraction;
}

function parseAnew(text: string): number {
  const match = RFC_3339.exec(text);
  if (match === null) return Number.NaN;
  const [, minute, second, fraction = '', zone] = match;
  // Date knows no leap second; it is the last moment of its minute.
  const time = Date.parse(
    `${minute}:${second === '60' ? '59' : second}${zone}`.toUpperCase(),
  );
  if (zone === 'Z') {
    readPrefix = text.slice(0, SECONDS_LENGTH);
    readSecond = time;
  }
  return time + Number(fraction) * 1_000;
}

const POINT = '.'.charCodeAt(0);
const ZERO = '0'.charCodeAt(0);
const ZULU = 'Z'.charCodeAt(0);

/**
 * Milliseconds of a fraction such as `.876695557Z` behind the second of a text; -1
 * for any other ending.
 *
 * @internal
 */
export function fractionAtEnd(text: string): number {
  const end = text.length - 1;
  if (text.charCodeAt(end) !== ZULU) return -1;
  if (end === SECONDS_LENGTH) return 0;
  if (end > SECONDS_LENGTH + 10 || text.charCodeAt(SECONDS_LENGTH) !== POINT) {
    return -1;
  }
  let value = 0;
  let unit = 1_000;
  for (let at = SECONDS_LENGTH + 1; at < end; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    unit /= 10;
  }
  return unit === 1_000 ? -1 : value * unit;
}
