import * as fc from 'fast-check';
import {
  affects,
  batch,
  entity,
  everything,
  pattern,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import { decodeMessage, parseCacheKey } from 'nestjs-cache-invalidation/wire';
import { describe, expect, it } from 'vitest';
import { concerns, keysOf, patternOf } from '../../lib/message/index.js';
import { cacheKey } from './arbitraries.js';
import { wire } from './wire.js';

describe('affects()', () => {
  it.each<[title: string, said: Invalidation, yes: string[], no: string[]]>([
    [
      'an entity',
      entity('User', 1),
      ['user:1'],
      ['user:12', 'User:1', 'post:1'],
    ],
    [
      'an update',
      entity('User', 1, { action: 'Update' }),
      ['user:1'],
      ['user:', 'user:11'],
    ],
    ['an id with colons', entity('s', 'a:b'), ['s:a:b'], ['s:a', 'a:b']],
    ['an id that looks like a glob', entity('s', '*'), ['s:*'], ['s:1']],
    ['a batch', batch(['user:1', 's:*']), ['user:1', 's:*'], ['user:2', 's:1']],
    ['an empty batch', batch([]), [], ['user:1', '']],
    ['a pattern', pattern('feed:4?:*'), ['feed:42:x'], ['feed:4:x', 'feed:42']],
    ['everything', everything(), ['user:1', '日:日', 'not a key'], []],
  ])('finds the keys affected by %s', (_, said, yes, no) => {
    expect(yes.filter((key) => affects(said, key))).toEqual(yes);
    expect(no.filter((key) => affects(said, key))).toEqual([]);
  });
});

/** A glob that is likely to match `key`, and to match its neighbours too. */
function globAround(key: string): fc.Arbitrary<string> {
  const parts = Array.from(key).map((character) =>
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constant(character.replace(/[*?[\\]/, '\\$&')),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '*',
          '?'.repeat(Buffer.byteLength(character)),
          `\\${character}`,
          character,
          '[^\0]'.repeat(Buffer.byteLength(character)),
          '[a-z]',
          '',
        ),
      },
    ),
  );
  return fc
    .tuple(fc.tuple(...parts), fc.constantFrom('', '*', '**'))
    .map(([globs, end]) => globs.join('') + end);
}

const keyAndPattern = cacheKey.chain((key) =>
  fc.record({
    key: fc.constant(key),
    said: globAround(key).map((glob): Invalidation => patternOf(glob)),
  }),
);

const keyAndKeys = fc
  .record({ key: cacheKey, others: fc.array(cacheKey) })
  .map(({ key, others }) => ({
    key,
    said: batch([...others, key].toSorted()) as Invalidation,
  }));

const keyAndEntity = cacheKey.map((key) => {
  const { entityType, entityId } = parseCacheKey(key)!;
  const said: Invalidation = entity(entityType, entityId);
  return { key, said };
});

describe('concerns()', () => {
  it('is true whenever a key of the type is affected', () => {
    let affected = 0;
    fc.assert(
      fc.property(
        fc.oneof(keyAndPattern, keyAndKeys, keyAndEntity),
        ({ key, said }) => {
          if (!affects(said, key)) return;
          affected++;
          const type = parseCacheKey(key)!.entityType;
          expect(concerns([type])(said)).toBe(true);
          expect(concerns(['another', type])(said)).toBe(true);
        },
      ),
      { numRuns: 3_000 },
    );
    expect(affected).toBeGreaterThan(1_500);
  });

  it('is true for a type with a colon from another language', () => {
    const said = decodeMessage(
      wire({ entity_type: { Custom: 'tenant:7' }, entity_id: 'x' }),
      10_000,
    );
    expect(affects(said, 'tenant:7:x')).toBe(true);
    expect(concerns(['tenant'])(said)).toBe(true);
  });

  it.each<[types: string[], said: Invalidation]>([
    [['Post'], entity('User', 1)],
    [['User'], entity('Userx', 1)],
    [['use'], entity('User', 1)],
    [['Post'], batch(['user:1', 'posts:1'])],
    [['Post', 'Feed'], batch([])],
    [['Post'], pattern('user:*')],
    [['Post'], pattern('posts:*')],
    [['Post', 'pos'], pattern('posts?:*')],
  ])(
    'is false for invalidations that cannot affect the type: %j',
    (types, said) => {
      expect(concerns(types)(said)).toBe(false);
    },
  );

  it('is true without types', () => {
    expect(concerns([])(entity('User', 1))).toBe(true);
    expect(concerns([])(everything())).toBe(true);
  });

  it.each<[type: string, glob: string]>([
    ['User', 'u*'],
    ['User', '*:1'],
    ['User', '[u-v]ser:1'],
    ['User', 'user:*'],
    ['User', 'user?1'],
    ['User', '\\user:1'],
    ['a*', 'a\\*:1'],
    ['日', '???:1'],
  ])('is true for %s with the pattern %s', (type, glob) => {
    expect(concerns([type])(pattern(glob))).toBe(true);
  });

  it('compares types by their keys', () => {
    expect(concerns(['User'])(entity('user', 1))).toBe(true);
    expect(concerns(['user'])(entity('User', 1))).toBe(true);
  });
});

describe('keysOf()', () => {
  it.each<[said: Invalidation, keys: string[] | null]>([
    [entity('User', 'a:b'), ['user:a:b']],
    [batch(['s:1', 'user:1']), ['s:1', 'user:1']],
    [pattern('user:1'), null],
  ])('returns exactly the affected keys', (said, keys) => {
    expect(keysOf(said)).toEqual(keys);
    expect(keys?.every((key) => affects(said, key)) ?? true).toBe(true);
  });
});
