import { describe, expect, it } from 'vitest';
import {
  batch,
  compilePattern,
  compileWithin,
  concerns,
  contentOf,
  entity,
  everything,
  familyOf,
  Instance,
  isFamily,
  isSameMessage,
  millisecondsOf,
  pattern,
  prefixesOf,
  weighAffecting,
  weighPattern,
} from '../../lib/message/index.js';

describe('A dependency', () => {
  it('is on many keys if it ends with its first colon, or is empty', () => {
    const all = ['post:', '', 'post:1', 'post', 'a:b:', ':a'];
    expect(all.filter(isFamily)).toEqual(['post:', '']);
  });

  it('has the family of its type', () => {
    expect(familyOf('post:1')).toBe('post:');
    expect(familyOf('post:1:2')).toBe('post:');
    expect(familyOf('post')).toBe('');
  });

  it('is affected by a pattern that may match one of its keys', () => {
    const { matches } = weighAffecting('post:1*');
    const affected = ['', 'post:', 'post:1', 'post:12'];
    expect(affected.filter(matches)).toEqual(affected);
    expect(['user:', 'post:2', 'posts:'].filter(matches)).toEqual([]);
    expect(weighAffecting('po*').matches('post:')).toBe(true);
    expect(weighAffecting('pa*').matches('post:')).toBe(false);
    expect(weighAffecting('*[ab]c*').weight).toBe(2);
  });
});

describe('The weight of a pattern', () => {
  it.each([
    ['user:1', 0],
    ['user:*', 0],
    [`${'*a'.repeat(15)}b`, 0],
    [`${'*a'.repeat(16)}b`, 1],
    [`${'*a'.repeat(40)}b`, 2],
    ['a?c', 0],
    ['[ab]*c', 0],
    ['*[ab]cd*x', 3],
    ['*[ab]*cde*', 3],
    ['*[ab]cd*e*', 3],
    ['?a*bc*', 2],
  ])('%s is the longest run between two of its stars: %i', (glob, weight) => {
    expect(weighPattern(glob).weight).toBe(weight);
  });

  it('bounds the steps of a comparison: beyond, a key counts as matched', () => {
    const weighed = weighPattern('*[ab]cd*x');
    const matches = compileWithin(30, weighed);
    expect(matches('n'.repeat(10))).toBe(false);
    expect(matches('n'.repeat(11))).toBe(true);
    expect(matches('acdx')).toBe(true);
    const cheap = compileWithin(0, weighPattern('user:*'));
    expect(cheap('post:1')).toBe(false);
    expect(cheap('user:1')).toBe(true);
  });

  it('says nothing about the answers', () => {
    const glob = '*[ab]cd*x';
    for (const key of ['acdx', 'bcd-x', 'ccdx', 'acd']) {
      expect(weighPattern(glob).matches(key)).toBe(compilePattern(glob)(key));
    }
  });
});

describe('The types that a message may touch', () => {
  const keys = (count: number, ...more: string[]): string[] =>
    Array.from({ length: count - more.length }, (_, at) => `a:${at}`).concat(
      more,
    );

  it.each([999, 1_000])('are looked for in a batch of %i keys', (count) => {
    const users = concerns(['User']);
    const some = batch(keys(count, 'user:1'));
    const none = batch(keys(count, 'users:1'));
    // In turns, since the last large batch is remembered.
    expect([some, none, some, none].map(users)).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(concerns(['Post', 'a'])(none)).toBe(true);
    expect(concerns(['Post', 'b'])(none)).toBe(false);
  });

  it('have prefixes that cover it', () => {
    expect(prefixesOf(entity('User', 1))).toEqual(['user']);
    expect(prefixesOf(batch(['user:1', 'a:b:c']))).toEqual(['user', 'a']);
    expect(prefixesOf(pattern('feed:4*'))).toEqual(['feed']);
    expect(prefixesOf(pattern('fe*'))).toEqual(['']);
    expect(prefixesOf(everything())).toEqual(['']);
  });
});

describe('Two messages', () => {
  const message = new Instance('test').stamp(entity('User', 1));

  it('are the same if they have one id and one content', () => {
    expect(isSameMessage(message, { ...message, offset: '1-0' })).toBe(true);
    expect(isSameMessage(message, { ...message, messageId: 'x' })).toBe(false);
    expect(isSameMessage(message, { ...message, metadata: 1 })).toBe(false);
  });

  it('have one content if each field of it is equal', () => {
    const all = [
      entity('User', 1),
      entity('User', 2),
      entity('Post', 1),
      entity('User', 1, { action: 'Update' }),
      entity('User', 1, { metadata: 1 }),
      batch(['user:1']),
      batch(['user:2']),
      pattern('user:*'),
      everything(),
    ];
    expect(new Set(all.map(contentOf)).size).toBe(all.length);
    expect(contentOf(message)).toBe(contentOf(entity('User', 1)));
  });
});

describe('An offset', () => {
  it('has the milliseconds before its dash', () => {
    expect(millisecondsOf('1763846400000-7')).toBe(1_763_846_400_000);
  });
});
