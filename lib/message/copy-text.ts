/** V8 copies a shorter part of a text; a longer one is a view of the whole text. */
const VIEW_LENGTH = 13;

/**
 * Copies a text that outlives its source, such as the id of a message. A text that was
 * cut out of a larger one, such as a payload, may keep all of that in memory.
 *
 * @internal
 */
export function copyText(part: string): string {
  return part.length < VIEW_LENGTH ? part : ` ${part}`.slice(1);
}
