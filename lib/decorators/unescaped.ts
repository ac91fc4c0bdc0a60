import { escapePattern } from '../message/index.js';

/** In an id these make a glob that spares the id's own entries. */
const SPARING = /[[\\]/;

/**
 * Adds, to patterns that hold an argument unescaped (such as `feed:${id}:*`), a pattern
 * with that argument escaped: its entries are invalidated even if the tag `glob` was
 * forgotten. Arguments are searched one level deep.
 *
 * @internal
 */
export function withArgumentsEscaped(
  patterns: readonly string[],
  args: readonly unknown[],
): string[] {
  if (!patterns.some((pattern) => SPARING.test(pattern))) return [];
  const texts = textsIn(args);
  return patterns.flatMap((pattern) => {
    const literal = texts.reduce(escapedIn, pattern);
    return literal === pattern ? [] : [literal];
  });
}

function textsIn(args: readonly unknown[]): string[] {
  const texts = new Set<string>();
  for (const arg of args) {
    const values: unknown[] =
      typeof arg === 'object' && arg !== null ? Object.values(arg) : [arg];
    for (const value of values) {
      if (typeof value === 'string' && SPARING.test(value)) texts.add(value);
    }
  }
  return [...texts];
}

/** An argument that is the whole pattern is meant as one. */
function escapedIn(pattern: string, text: string): string {
  return pattern === text
    ? pattern
    : pattern.replaceAll(text, (_, at: number) =>
        // The argument was escaped already.
        pattern[at - 1] === '\\' ? text : escapePattern(text),
      );
}
