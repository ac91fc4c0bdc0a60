const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Beyond it text of others is cut: a log is no place for a document. */
const LONGEST = 500;

/**
 * Text of others, for one line of a log: what would begin another line, change
 * colours or turn the direction of writing is shown by its number.
 *
 * @param longest in characters; the rest is cut off
 * @internal
 */
export function printable(text: string, longest = LONGEST): string {
  return escapeUnseen(
    text.length > longest ? `${text.slice(0, longest)}…` : text,
  );
}

/** Within JSON these stand in strings only, and are written so. @internal */
export function escapeUnseen(text: string): string {
  return text.replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => {
      const unit = character.charCodeAt(at).toString(16);
      return `\\u${unit.padStart(4, '0')}`;
    }).join(''),
  );
}

/**
 * The stack of an error, for a log: its own lines only, since a message may
 * hold lines that look like those of others.
 *
 * @internal
 */
export function printableStack(error: Error): string {
  const { name, stack } = error as Record<'name' | 'stack', unknown>;
  const message = messageOf(error);
  const text = String(stack);
  const places = text
    .slice(Math.max(0, text.indexOf(message)) + message.length)
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => escapeUnseen(line));
  const said = printable(withoutArguments(message));
  return [`${printable(String(name))}: ${said}`, ...places].join('\n');
}

/** The message of what was thrown, which may be anything that somebody wrote to it. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    // Object.create(null), or a toString() that throws.
    return 'a value that cannot be shown';
  }
}

/**
 * An error of Redis without what it repeats of the command: keys, and payloads.
 *
 * @internal
 */
export function withoutArguments(text: string): string {
  return text.replace(/,? with args beginning with:[^]*/i, '');
}
