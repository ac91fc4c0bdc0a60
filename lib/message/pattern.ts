import { compilePattern } from './compile-pattern.js';
import { ANY, parsePattern, splitLiteral, STAR } from './pattern-program.js';

/**
 * Longest pattern that may travel, in UTF-16 code units. A match costs at most
 * key × pattern steps, so the bound makes it linear in the key. The bound is also
 * below the 1000 stars at which newer Redis gives up and says "no match".
 *
 * @internal
 */
export const MAX_PATTERN_LENGTH = 1024;

/** A key of an entity is at least `t:i`: one character each side of its colon. */
const SHORTEST_KEY = 3;

/** A pure memo: it changes the cost of an answer and never the answer. */
let recent = { pattern: '*', matches: compilePattern('*') };

/**
 * Whether a Redis glob matches one key, by the rules of {@link compilePattern}.
 * The last pattern stays compiled; to go through many keys with one pattern,
 * compile it.
 *
 * @example
 * matchesPattern('user:[0-9]*', 'user:123'); // true
 *
 * @publicApi
 */
export function matchesPattern(pattern: string, key: string): boolean {
  if (recent.pattern !== pattern) {
    recent = { pattern, matches: compilePattern(pattern) };
  }
  return recent.matches(key);
}

/**
 * Whether a pattern matches every cache key, so that a cache may be cleared
 * instead of searched: any number of stars, at least one, with up to three `?`
 * (or `[^]`, which is equal for Redis), since no cache key has fewer than three
 * bytes. `????*` is a filter: it spares `a:1`.
 *
 * @internal
 */
export function isMatchAll(pattern: string): boolean {
  const steps = parsePattern(pattern).steps.slice(0, -1);
  const any = steps.filter((step) => step === ANY).length;
  const stars = steps.filter((step) => step === STAR).length;
  return stars > 0 && any <= SHORTEST_KEY && any + stars === steps.length;
}

/**
 * Whether a pattern matches every key with a prefix, as `user:*` does with the
 * prefix `user:`.
 *
 * @internal
 */
export function matchesAllOf(prefix: string, pattern: string): boolean {
  const [literal, rest] = splitLiteral(parsePattern(pattern));
  const stars = rest.slice(0, -1);
  return (
    stars.length > 0 &&
    stars.every((step) => step === STAR) &&
    prefix.startsWith(literal)
  );
}

/**
 * The beginning that all matching keys share: the pattern up to its first special
 * character, escapes resolved. With it a family of keys is ruled out without a
 * search.
 *
 * @internal
 */
export function literalPrefix(pattern: string): string {
  return splitLiteral(parsePattern(pattern))[0];
}

/**
 * The pattern that matches one string and no other. `]`, `^` and `-` stay as
 * they are: outside a class they are not special, and no class is left open.
 *
 * @internal
 */
export function escapePattern(literal: string): string {
  return literal.replace(/[*?[\\]/g, '\\$&');
}

/**
 * The pattern of what follows a prefix in the keys that a pattern matches; `null`
 * unless the pattern begins with the prefix as it is written.
 *
 * @internal
 */
export function patternBehind(prefix: string, pattern: string): string | null {
  if (!pattern.startsWith(prefix)) return null;
  return escapePattern(prefix) === prefix ? pattern.slice(prefix.length) : null;
}
