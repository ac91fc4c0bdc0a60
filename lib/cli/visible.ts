const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Text of others, for a terminal: what would move its cursor, change its
 * colours or turn the direction of writing is shown by its number.
 *
 * @param longest in characters; the rest is cut off
 * @internal
 */
export function visible(text: string, longest = 200): string {
  const shown = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return escapeUnseen(shown);
}

/** One line that is JSON still, and harmless to a terminal. @internal */
export function jsonLine(value: unknown): string {
  return escapeUnseen(JSON.stringify(value));
}

// Within JSON these stand in strings only, where this is how they are written.
function escapeUnseen(text: string): string {
  return text.replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => {
      const unit = character.charCodeAt(at).toString(16);
      return `\\u${unit.padStart(4, '0')}`;
    }).join(''),
  );
}
