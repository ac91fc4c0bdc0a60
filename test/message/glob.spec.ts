import fc from 'fast-check';
import {
  buildCacheKey,
  entity,
  glob,
  InvalidMessageError,
} from 'nestjs-cache-invalidation';
import { matchesPattern } from 'nestjs-cache-invalidation/wire';
import { describe, expect, it } from 'vitest';

describe('glob`…`', () => {
  it.each([
    ['42', 'feed:42:*'],
    ['a[1]', 'feed:a\\[1]:*'],
    ['[2001:db8::1]', 'feed:\\[2001:db8::1]:*'],
    ['x\\y', 'feed:x\\\\y:*'],
    ['st*r?', 'feed:st\\*r\\?:*'],
  ])('escapes %j', (id, expected) => {
    expect(glob`feed:${id}:*`).toBe(expected);
  });

  it('accepts numbers and bigints, several values, and none', () => {
    expect(glob`${1}:${2n}:*`).toBe('1:2:*');
    expect(glob`feed:*`).toBe('feed:*');
  });

  it('keeps the literal text as a glob, backslashes included', () => {
    expect(glob`feed:\*:${'*'}`).toBe('feed:\\*:\\*');
  });

  it('matches the entries of its value and no others', () => {
    const text = fc
      .array(fc.constantFrom(...'[]*?\\^-ab:é'.split('')), { minLength: 1 })
      .map((letters) => letters.join(''));
    fc.assert(
      fc.property(text, text, (id, other) => {
        const pattern = glob`feed:${id}#*`;
        expect(matchesPattern(pattern, `feed:${id}#1`)).toBe(true);
        fc.pre(!`${other}#1`.startsWith(`${id}#`));
        expect(matchesPattern(pattern, `feed:${other}#1`)).toBe(false);
      }),
    );
  });

  it.each([undefined, null, '', NaN, 2 ** 53, {}, 'a\ud800'])(
    'rejects %j as an id',
    (value) => {
      expect(() => glob`feed:${value as string}:*`).toThrow(
        InvalidMessageError,
      );
    },
  );

  it('is a tag, and rejects a call with a string', () => {
    expect(() => glob('feed:a[1]:*' as never)).toThrow(/template tag/);
  });
});

describe('Numbers as entity ids', () => {
  it.each([2 ** 53, -(2 ** 53), 2 ** 60, 1e21, Infinity, NaN])(
    '%d is rejected with a message',
    (id) => {
      expect(() => entity('User', id)).toThrow(InvalidMessageError);
      expect(() => buildCacheKey('User', id)).toThrow(/not an entity id/);
    },
  );

  it.each([
    [0, 'user:0'],
    [1.5, 'user:1.5'],
    [-7, 'user:-7'],
    [Number.MAX_SAFE_INTEGER, 'user:9007199254740991'],
    [9007199254740993n, 'user:9007199254740993'],
  ])('%d is accepted', (id, key) => {
    expect(buildCacheKey('User', id)).toBe(key);
  });
});
