import { escapeUnseen, printable } from '../errors/index.js';

/**
 * Makes foreign text safe for a terminal: characters that would move the cursor,
 * change colours or turn the direction of writing are shown by number.
 *
 * @param longest in characters; the rest is cut off
 * @internal
 */
export function visible(text: string, longest = 200): string {
  return printable(text, longest);
}

/** JSON in one line, safe for a terminal. @internal */
export function jsonLine(value: unknown): string {
  return escapeUnseen(JSON.stringify(value));
}
