const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;

/** The longest delay of Node's timers, which fire at once for a longer one. @internal */
export const LONGEST_TIMER_MS = 2_147_483_647;

/**
 * A time: a number of milliseconds, or a text with its unit, such as `'10s'` or
 * `'5m'`.
 *
 * @publicApi
 */
export type Duration = number | `${number}${keyof typeof UNITS}`;

/**
 * Converts a time to milliseconds. Any value but the text of a time is returned as it
 * is, for the check that follows.
 *
 * @internal
 */
export function inMilliseconds(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const [, number, unit] = DURATION.exec(value.trim()) ?? [];
  if (number === undefined) return value;
  const factor = UNITS[unit as keyof typeof UNITS];
  const ms = Number(number) * factor;
  // `1.1m` is 66000.00000000001.
  return factor === 1 ? ms : Math.round(ms);
}
