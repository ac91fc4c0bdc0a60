import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePattern } from '../../lib/message/compile-pattern.js';
import {
  escapePattern,
  isMatchAll,
  literalPrefix,
  matchesAllOf,
  matchesPattern,
  MAX_PATTERN_LENGTH,
  patternBehind,
} from '../../lib/message/pattern.js';
import { nastyText } from './arbitraries.js';

/** Examples for readers; pattern-differential.spec.ts compares with a real server. */
const CASES: [
  title: string,
  pattern: string,
  matches: string[],
  others: string[],
][] = [
  ['a literal', 'user:1', ['user:1'], ['user:12', 'user:', '', 'User:1']],
  ['an empty pattern', '', [''], ['a']],
  ['a prefix', 'user:*', ['user:', 'user:1'], ['user', 'post:user:1', '']],
  ['a suffix', '*:1', [':1', 'user:1', 'a:1:1'], ['user:12', '1', '']],
  ['an infix', 'a*c', ['ac', 'abc', 'acbc'], ['acb', 'a', 'cac']],
  ['several stars', '*a*b*a', ['aba', 'xaxbxa'], ['aab', 'ab', 'ba']],
  ['a tail that may not overlap', 'ab*ba', ['abba', 'ab ba'], ['aba', 'abab']],
  ['a false start', '*aab*', ['aaab', 'abaab'], ['abab', 'aaAb']],
  ['stars in a row', 'a***b', ['ab', 'axb'], ['abc']],
  ['stars at the end', 'a**', ['a', 'ab'], ['', 'ba']],
  ['ends that would overlap', 'ab*bc', ['abbc', 'abxbc'], ['abc']],
  ['a question mark', 'a?c', ['abc', 'a?c', 'a*c'], ['ac', 'abbc']],
  ['at least two', '*??', ['ab', 'abc'], ['a', '']],

  ['a class', '[abc]', ['a', 'c'], ['d', '', 'ab', '[']],
  ['a range', '[a-c]', ['a', 'b', 'c'], ['d', '-']],
  ['a reversed range', '[c-a]', ['a', 'b', 'c'], ['d', '-']],
  ['a range from a dash', '[--0]', ['-', '.', '/', '0'], ['1', ',']],
  ['a negated class', '[^a-c]', ['d', '^', '-'], ['a', 'c', '']],
  ['a caret further on', '[a^]', ['a', '^'], ['b']],
  ['a negated caret', '[^^]', ['a'], ['^']],
  ['a dash at the start', '[-a]', ['-', 'a'], ['b']],
  [
    'a dash at the end takes the bracket into a range',
    '[X-]',
    ['X', 'Z', ']'],
    ['-', '^', 'X]'],
  ],
  ['an empty class', '[]', [], ['', '[]', ']', 'a']],
  ['an empty class and the rest', '[]a]', [], ['a', ']', ']a]', 'a]']],
  ['an empty negated class', '[^]', ['a', ']'], ['', 'ab']],
  ['a bang, not a negation', '[!a]', ['!', 'a'], ['b']],
  ['star and question mark inside a class', '[*?]', ['*', '?'], ['a', '']],

  ['an unclosed class', '[ab', ['a', 'b'], ['[ab', 'c']],
  ['an unclosed range', '[a-', ['a', '-'], ['b', '[a-']],
  ['an unclosed negation', '[^', ['^', 'a'], ['', '[^']],
  ['a lone bracket', '[', [], ['[', '']],
  ['a lone closing bracket', ']', [']'], ['']],
  ['an unclosed class after a star', '*[ab', ['a', 'xb'], ['xc', '']],

  ['an escaped star', 'a\\*', ['a*'], ['ab', 'a\\*']],
  ['an escaped question mark', '\\?', ['?'], ['a', '\\']],
  ['an escaped bracket', '\\[a]', ['[a]'], ['a']],
  ['an escaped backslash', '\\\\', ['\\'], ['\\\\']],
  ['an escape for nothing', '\\a', ['a'], ['\\a']],
  ['a trailing backslash', 'a\\', ['a\\'], ['a', 'a\\\\']],
  ['an escaped bracket in a class', '[\\]]', [']'], ['\\', '\\]']],
  ['an escape before a dash', '[\\a-c]', ['a', '-', 'c'], ['b', '\\']],
  ['a range up to a backslash', '[Z-\\]', ['Z', '[', '\\'], [']', '-']],
  [
    'a class closed by nothing but an escape',
    '[a\\]',
    ['a', ']'],
    ['\\', 'a]'],
  ],
  ['a class that ends in a backslash', '[a\\', ['a', '\\'], ['[a\\']],

  ['letters beyond ASCII', '日é*', ['日é', '日éa'], ['日e', 'é日']],
  ['a byte each', '???', ['日', 'abc', 'éa'], ['é', 'éé', '日a', '😀']],
  ['four bytes of an emoji', '????', ['😀', 'éé', '日a'], ['😀a', '日']],
  ['a class takes one byte', '[é]', [], ['é', 'e', '']],
  ['two classes take two', '[é][é]', ['é'], ['e', 'éé']],
  ['a negated class takes one byte too', '[^a][^a]', ['é', 'bb'], ['日', 'ba']],
  ['half of a shared first byte', '[é]?', ['é', 'è'], ['日', 'aa']],
  ['a star takes part of a letter', '*?[日]', ['日', 'a日'], ['é', 'aa']],
  ['ASCII after the rest', '*a', ['a', 'éa', '日本a'], ['aé', 'é']],
  ['ASCII on both sides', 'a*?b', ['aéb', 'axb', 'a日b'], ['ab', 'aébé']],
  [
    'a range across ASCII, of signed bytes',
    '[é-a]?*',
    ['aa', '日', 'Aa'],
    ['bb'],
  ],
];

const NASTY = Array.from('aab::-^[]\\*?é日😀');

describe('matchesPattern()', () => {
  for (const [title, pattern, matches, others] of CASES) {
    it(`reads ${title}: ${JSON.stringify(pattern)}`, () => {
      const keys = [...matches, ...others];
      expect(keys.filter(compilePattern(pattern))).toEqual(matches);
    });
  }

  it('matches the empty key with a bare star only', () => {
    expect(matchesPattern('*', '')).toBe(true);
    expect(matchesPattern('**', '')).toBe(false);
  });

  it.each([
    ['a star before every letter', 'a*'.repeat(MAX_PATTERN_LENGTH / 2 - 1)],
    ['stars and question marks', '*a?'.repeat(MAX_PATTERN_LENGTH / 3 - 1)],
    ['a long middle', `*${'a'.repeat(MAX_PATTERN_LENGTH - 4)}b*`],
    ['classes', '*[ab][^b]'.repeat(MAX_PATTERN_LENGTH / 9 - 1)],
  ])('ends on a long key with %s', (_, almost) => {
    const key = 'a'.repeat(100_000);
    expect(matchesPattern(`${almost}b`, key)).toBe(false);
    expect(matchesPattern(`${almost}b`, `${key}é`)).toBe(false);
  });

  it('accepts patterns longer than any message has', () => {
    const letters = 'a'.repeat(300_000);
    expect(matchesPattern(letters, letters)).toBe(true);
    expect(matchesPattern(`[${letters}`, 'a')).toBe(true);
  });

  it('does not confuse a pattern with the one before', () => {
    expect(matchesPattern('a*', 'ab')).toBe(true);
    expect(matchesPattern('b*', 'ab')).toBe(false);
    expect(matchesPattern('a*', 'ab')).toBe(true);
  });
});

describe('isMatchAll()', () => {
  it.each(['*', '**', '***', '?*', '*?', '?*?', '???*', '*?**??', '[^]*'])(
    'is true for %s, which matches the shortest cache key',
    (pattern) => {
      expect(isMatchAll(pattern)).toBe(true);
      expect(matchesPattern(pattern, 'a:1')).toBe(true);
    },
  );

  it.each([
    '',
    '?',
    '???',
    '????*',
    '*????',
    '*:*',
    '\\*',
    '[]*',
    '[*]',
    '*\\',
  ])('is false for %s', (pattern) => {
    expect(isMatchAll(pattern)).toBe(false);
  });
});

describe('matchesAllOf()', () => {
  it.each(['user:*', 'user:**', 'us*', '*', 'us\\er:*'])(
    'is true for user: and %s',
    (pattern) => {
      expect(matchesAllOf('user:', pattern)).toBe(true);
      expect(matchesPattern(pattern, 'user:')).toBe(true);
    },
  );

  it.each(['', 'user:', 'user:1*', 'user:?*', 'user:*1', 'post:*', 'u[s]*'])(
    'is false for user: and %s',
    (pattern) => {
      expect(matchesAllOf('user:', pattern)).toBe(false);
    },
  );
});

describe('literalPrefix()', () => {
  it.each([
    ['user:1', 'user:1'],
    ['user:*', 'user:'],
    ['user:?', 'user:'],
    ['user:[1]', 'user:'],
    ['user:\\*:*', 'user:*:'],
    ['日é😀\\é?', '日é😀é'],
    ['a\\', 'a\\'],
    ['*a', ''],
    ['', ''],
  ])('of %s is %s', (pattern, prefix) => {
    expect(literalPrefix(pattern)).toBe(prefix);
  });
});

describe('Patterns: properties', () => {
  const nasty = fc.string({
    unit: fc.constantFrom(...NASTY),
    maxLength: 8,
  });
  const text = fc.string({ unit: 'binary' });

  it('compilePattern() agrees with matchesPattern()', () => {
    fc.assert(
      fc.property(nasty, nasty, (pattern, key) => {
        expect(compilePattern(pattern)(key)).toBe(matchesPattern(pattern, key));
      }),
    );
  });

  it('an escaped literal matches itself and nothing else', () => {
    const literals = fc.oneof(nasty, text);
    fc.assert(
      fc.property(literals, literals, (literal, other) => {
        const matches = compilePattern(escapePattern(literal));
        expect(matches(literal)).toBe(true);
        expect(matches(other)).toBe(other === literal);
        expect(matches(`${literal}a`)).toBe(false);
        expect(literalPrefix(escapePattern(literal))).toBe(literal);
      }),
    );
  });

  it('a pattern matches only keys with its literal prefix', () => {
    let matched = 0;
    fc.assert(
      fc.property(nasty, nasty, nasty, (head, pattern, key) => {
        const whole = escapePattern(head) + pattern;
        for (const candidate of [key, head + key, literalPrefix(whole) + key]) {
          if (!matchesPattern(whole, candidate)) continue;
          matched++;
          expect(candidate.startsWith(literalPrefix(whole))).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
    expect(matched).toBeGreaterThan(50);
  });

  it('a match-all pattern matches every key of three bytes and more', () => {
    const wild = fc.string({ unit: fc.constantFrom('*', '?'), maxLength: 6 });
    fc.assert(
      fc.property(wild, text, (pattern, key) => {
        fc.pre(isMatchAll(pattern) && Buffer.byteLength(key) >= 3);
        expect(matchesPattern(pattern, key)).toBe(true);
      }),
    );
  });
});

describe('patternBehind()', () => {
  it.each([
    ['user:', 'user:12*', '12*'],
    ['user:', 'user:', ''],
    ['日:', '日:?', '?'],
    ['', 'user:*', 'user:*'],
  ])('returns, for the prefix %j of %j, %j', (prefix, pattern, behind) => {
    expect(patternBehind(prefix, pattern)).toBe(behind);
  });

  it.each([
    ['user:', 'use*'],
    ['user:', '*user:'],
    ['user:', '[u]ser:1'],
    ['user:', 'post:1'],
    ['a*:', 'a*:1'],
    ['a[:', 'a[:]1'],
  ])('returns null for the prefix %j of %j', (prefix, pattern) => {
    expect(patternBehind(prefix, pattern)).toBeNull();
  });

  it('matches what follows the prefix, if the pattern matches all of it', () => {
    fc.assert(
      fc.property(
        nastyText(),
        nastyText(),
        nastyText(),
        (prefix, rest, name) => {
          const pattern = prefix + rest;
          const behind = patternBehind(prefix, pattern);
          // The pattern * matches even the empty key, as in Redis.
          if (behind === null || name === '') return;
          expect(compilePattern(behind)(name)).toBe(
            compilePattern(pattern)(prefix + name),
          );
        },
      ),
    );
  });
});
