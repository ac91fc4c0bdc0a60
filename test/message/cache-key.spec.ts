import * as fc from 'fast-check';
import { buildCacheKey, type EntityId } from 'nestjs-cache-invalidation';
import {
  buildPattern,
  extractEntityType,
  isCacheKey,
  matchesPattern,
  parseCacheKey,
} from 'nestjs-cache-invalidation/wire';
import { describe, expect, it } from 'vitest';
import { MissingIdError } from '../../lib/errors/index.js';
import { entityType, nastyText } from './arbitraries.js';
import { refusalOf } from './refusal.js';

const BUILT_IN = ['User', 'Post', 'Comment', 'Notification', 'Feed'];
const PREFIXES = BUILT_IN.map((type) => type.toLowerCase());

/** Without custom types such as `user`, which has the same keys as `User`. */
const unambiguousType = entityType.filter((type) => !PREFIXES.includes(type));

const HALF = '\ud83c';

describe('buildCacheKey()', () => {
  it.each<[type: string, id: EntityId, key: string]>([
    ['User', '123', 'user:123'],
    ['Post', 456, 'post:456'],
    ['Comment', 2n ** 64n, 'comment:18446744073709551616'],
    ['Notification', 'n:1:2', 'notification:n:1:2'],
    ['Feed', 'ü-日本', 'feed:ü-日本'],
    ['session', 'abc123', 'session:abc123'],
    ['Session', ':', 'Session::'],
    ['USER', 0, 'USER:0'],
    ['toString', -1.5, 'toString:-1.5'],
    ['__proto__', ' ', '__proto__: '],
  ])('of %s %s is %3$s', (type, id, key) => {
    expect(buildCacheKey(type, id)).toBe(key);
  });

  it.each([
    '',
    Number.NaN,
    Infinity,
    -Infinity,
    null,
    undefined,
    true,
    {},
    ['1'],
    new Date(),
    () => '1',
    Symbol('1'),
    `1${HALF}`,
  ])('rejects the id %s', (id) => {
    expect(refusalOf(() => buildCacheKey('User', id as string)).field).toBe(
      'entity_id',
    );
  });

  it.each(['', ':', 'a:b', `s${HALF}`, null, undefined, 1, { Custom: 's' }])(
    'rejects the type %s',
    (type) => {
      expect(refusalOf(() => buildCacheKey(type as string, 1)).field).toBe(
        'entity_type',
      );
    },
  );

  it('refuses a whole number that was perhaps rounded, and takes others', () => {
    const safe = Number.MAX_SAFE_INTEGER;
    expect(buildCacheKey('User', safe)).toBe(`user:${safe}`);
    expect(buildCacheKey('User', -safe)).toBe(`user:-${safe}`);
    const error = refusalOf(() => buildCacheKey('User', safe + 1));
    expect(error.field).toBe('entity_id');
    expect(error.message).toContain('a number of this size is rounded');
    expect(error.advice).toContain('a bigint or a string');
  });

  it('tells a missing id from a wrong one', () => {
    for (const id of [null, undefined]) {
      const error = refusalOf(() => buildCacheKey('User', id as never));
      expect(error).toBeInstanceOf(MissingIdError);
    }
    const error = refusalOf(() => buildCacheKey('User', ''));
    expect(error).not.toBeInstanceOf(MissingIdError);
  });

  it('shows what it refuses, in short', () => {
    const shown = (id: unknown): string =>
      refusalOf(() => buildCacheKey('User', id as string)).message;
    expect(shown([])).toMatch(/^an array is not an entity id/);
    expect(shown({})).toMatch(/^an object is not an entity id/);
    expect(shown(null)).toMatch(/^null is not an entity id/);
    expect(shown(true)).toMatch(/^true is not an entity id/);
    const long = refusalOf(() => buildCacheKey(`:${'x'.repeat(200)}`, 1));
    expect(long.message).toContain(`":${'x'.repeat(79)}" is not`);
    const half = refusalOf(() => buildCacheKey(`s${HALF}`, 1));
    expect(half.message).toContain('"s\\ud83c" is not well-formed Unicode.');
    expect(half.advice).toContain('half of a surrogate pair');
  });

  it('reports the value and the advice', () => {
    expect(() => buildCacheKey('User', Number.NaN)).toThrow(
      'NaN is not an entity id. Give a non-empty string, a finite number or a bigint.',
    );
    expect(() => buildCacheKey('a:b', 1)).toThrow(
      '"a:b" is not an entity type. Give a non-empty name without a colon',
    );
  });
});

describe('parseCacheKey()', () => {
  it('reverses buildCacheKey()', () => {
    const id = fc.oneof(
      nastyText(1),
      fc
        .double({ noNaN: true, noDefaultInfinity: true })
        // Larger numbers are rounded, and rejected.
        .filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n)),
      fc.bigInt(),
    );
    fc.assert(
      fc.property(unambiguousType, id, (type, entityId) => {
        const key = buildCacheKey(type, entityId);
        expect(parseCacheKey(key)).toEqual({
          entityType: type,
          entityId: String(entityId),
        });
        expect(extractEntityType(key)).toBe(type);
        expect(isCacheKey(key)).toBe(true);
      }),
    );
  });

  it.each(PREFIXES)(
    'reads keys of a type named %s as those of the built-in type',
    (prefix) => {
      const builtIn = BUILT_IN.find((type) => type.toLowerCase() === prefix);
      expect(extractEntityType(buildCacheKey(prefix, 1))).toBe(builtIn);
    },
  );

  it.each(['', ':', 'user', 'user:', ':1', '::', `user:${HALF}`])(
    'returns null for %s',
    (text) => {
      expect(parseCacheKey(text)).toBeNull();
      expect(extractEntityType(text)).toBeNull();
      expect(isCacheKey(text)).toBe(false);
    },
  );
});

it.each([null, undefined, 1, {}, ['user:1'], Object('user:1')])(
  'isCacheKey() is false for %s',
  (value) => expect(isCacheKey(value)).toBe(false),
);

describe('buildPattern()', () => {
  it.each([
    [['User'], 'user:*'],
    [['Feed', '42:*'], 'feed:42:*'],
    [['a*[b]?\\'], 'a\\*\\[b]\\?\\\\:*'],
  ] as const)('of %j is %s', (args, pattern) => {
    expect(buildPattern(...(args as readonly [string]))).toBe(pattern);
  });

  it('matches every key of its type and no other', () => {
    fc.assert(
      fc.property(entityType, entityType, nastyText(1), (type, other, id) => {
        const key = buildCacheKey(other, id);
        expect(matchesPattern(buildPattern(type), key)).toBe(
          extractEntityType(buildCacheKey(type, id)) === extractEntityType(key),
        );
        expect(matchesPattern(buildPattern(other), key)).toBe(true);
      }),
    );
  });

  it('rejects the same types as buildCacheKey()', () => {
    expect(refusalOf(() => buildPattern('a:b')).field).toBe('entity_type');
    expect(refusalOf(() => buildPattern('User', '')).field).toBe('entity_id');
  });
});
