/** Before the first entry of a journal. @internal */
export const JOURNAL_START = '0-0';

/** Both parts as Redis writes them: without leading zeros. */
const OFFSET = /^(?:0|[1-9]\d{0,19})-(?:0|[1-9]\d{0,19})$/;

/** The largest part, which has 20 digits. */
const LAST_PART = String(2n ** 64n - 1n);

/**
 * Whether a value is the full ID of a Redis Stream entry: two numbers that fit 64
 * bits.
 *
 * @internal
 */
export function isOffset(value: unknown): value is string {
  if (typeof value !== 'string' || !OFFSET.test(value)) return false;
  // Shorter than a part of 20 digits: the ordinary case.
  if (value.length < LAST_PART.length) return true;
  return value
    .split('-')
    .every((part) => part.length < LAST_PART.length || part <= LAST_PART);
}

/**
 * Compares two offsets: below zero if `a` comes first, above zero if `b` does.
 *
 * Compared as text, since a number does not hold 64 bits and a `BigInt` costs
 * ten times as much: without leading zeros, more digits are a larger number.
 *
 * @param a an offset by `isOffset`, as `b` is
 * @internal
 */
export function compareOffsets(a: string, b: string): number {
  if (a === b) return 0;
  const aDash = a.indexOf('-');
  const bDash = b.indexOf('-');
  if (aDash !== bDash) return aDash - bDash;
  if (a.length !== b.length && a.startsWith(b.slice(0, bDash + 1))) {
    return a.length - b.length;
  }
  return a < b ? -1 : 1;
}

/** The milliseconds of an offset: by the clock of the server that gave it. @internal */
export function millisecondsOf(offset: string): number {
  return Number(offset.slice(0, offset.indexOf('-')));
}
