import { weighPattern, type WeighedPattern } from './compile-pattern.js';
import { literalPrefix } from './pattern.js';

/*
 * An entry's dependency is written as a cache key (`post:1`); as the beginning of
 * all keys of a type (`post:`), which is no cache key itself; or as '', which
 * every key begins with.
 */

/** Whether a dependency is on many keys: all keys of a type, or all keys. @internal */
export function isFamily(dependency: string): boolean {
  // For '' both are -1.
  return dependency.indexOf(':') === dependency.length - 1;
}

/** The family of a key: `post:` for `post:1`; '' for a key without a type. @internal */
export function familyOf(key: string): string {
  return key.slice(0, key.indexOf(':') + 1);
}

/**
 * Compiles a pattern to test the keys and dependencies that it affects. It affects a
 * dependency on many keys unless their common beginning differs from its own.
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
