import { weighPattern, type WeighedPattern } from './compile-pattern.js';
import { literalPrefix } from './pattern.js';

/*
 * An entry's dependency is written as a cache key (`post:1`); as the beginning of
 * all keys of a type (`post:`), which is no cache key itself; or as '', which
 * every key begins with.
 */

/** Whether a dependency is on many keys: on those of a type, or on all. @internal */
export function isFamily(dependency: string): boolean {
  // For '' both are -1.
  return dependency.indexOf(':') === dependency.length - 1;
}

/** `post:` for `post:1`; '' where only everything covers it. @internal */
export function familyOf(key: string): string {
  return key.slice(0, key.indexOf(':') + 1);
}

/**
 * Whether keys and dependencies are affected by a pattern. One on many keys is,
 * unless the pattern begins otherwise than all of them do.
 *
 * @internal
 */
export function weighAffecting(pattern: string): WeighedPattern {
  const { matches, weight } = weighPattern(pattern);
  const literal = literalPrefix(pattern);
  return {
    weight,
    matches: (dependency) =>
      isFamily(dependency)
        ? literal.startsWith(dependency) || dependency.startsWith(literal)
        : matches(dependency),
  };
}
