/** V8 copies a shorter part of a text; a longer one is a view of the whole text. */
const VIEW_LENGTH = 13;

/**
 * Copies a text that outlives its message, such as an id or an offset. A text that was
 * cut out of a payload may keep the whole payload in memory.
 *
 * @internal
 */
export function copyText(part: string): string {
  return part.length < VIEW_LENGTH ? part : ` ${part}`.slice(1);
}
