import { escapeUnseen, printable } from '../errors/index.js';

/**
 * Text of others, for a terminal: what would move its cursor, change its
 * colours or turn the direction of writing is shown by its number.
 *
 * @param longest in characters; the rest is cut off
 * @internal
 */
export function visible(text: string, longest = 200): string {
  return printable(text, longest);
}

/** One line that is JSON still, and harmless to a terminal. @internal */
export function jsonLine(value: unknown): string {
  return escapeUnseen(JSON.stringify(value));
}
