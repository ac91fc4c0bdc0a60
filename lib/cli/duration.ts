import { inMilliseconds, LONGEST_TIMER_MS } from '../common/index.js';
import { UsageError } from './usage.error.js';

/**
 * Milliseconds of a time such as `10s`, `5m` or `1.5h`.
 *
 * @throws UsageError that names the option.
 * @internal
 */
export function parseDuration(option: string, text: string): number {
  const ms = inMilliseconds(text);
  if (typeof ms === 'number' && ms >= 1 && ms <= LONGEST_TIMER_MS) return ms;
  throw new UsageError(
    `--${option} is not a time.`,
    'Give a number followed by ms, s, m, h or d, such as 10s or 5m, of at most 24 days.',
  );
}

/** @throws UsageError that names the option. @internal */
export function parseCount(option: string, text: string, most: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= most) return count;
  throw new UsageError(
    `--${option} is not a number from 1 to ${most}.`,
    `Give one, such as --${option} 100.`,
  );
}

/** A time in a readable unit: `450 ms`, `12 s`, `3 h`. @internal */
export function showDuration(ms: number): string {
  const size = Math.abs(ms);
  if (size < 10) return `${ms.toFixed(1)} ms`;
  if (size < 1_000) return `${ms.toFixed(0)} ms`;
  if (size < 120_000) return `${(ms / 1_000).toFixed(0)} s`;
  if (size < 7_200_000) return `${(ms / 60_000).toFixed(0)} min`;
  if (size < 172_800_000) return `${(ms / 3_600_000).toFixed(0)} h`;
  return `${(ms / 86_400_000).toFixed(0)} d`;
}
