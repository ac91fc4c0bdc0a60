const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Length at which foreign text is cut in a log. */
const LONGEST = 500;

/**
 * Foreign text, made safe for one line of a log: characters that would begin another
 * line, change colours or turn the direction of writing are shown by their number.
 *
 * @param longest in characters; the rest is cut off
 * @internal
 */
export function printable(text: string, longest = LONGEST): string {
  return escapeUnseen(
    text.length > longest ? `${text.slice(0, longest)}…` : text,
  );
}

/** Escapes invisible characters as JSON does; JSON has them in strings only. @internal */
export function escapeUnseen(text: string): string {
  return text.replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => {
      const unit = character.charCodeAt(at).toString(16);
      return `\\u${unit.padStart(4, '0')}`;
    }).join(''),
  );
}

/**
 * The stack of an error, for a log. Lines of the message are left out, since they may
 * look like lines of the stack.
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

/** The message of a thrown value of any type. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    // Object.create(null), or a toString() that throws.
    return 'a value that cannot be shown';
  }
}

/**
 * The text of a Redis error without the command's arguments: keys and payloads.
 *
 * @internal
 */
export function withoutArguments(text: string): string {
  return text.replace(/,? with args beginning with:[^]*/i, '');
}
