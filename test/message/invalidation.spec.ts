import { batch, entity, everything, pattern } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { refusalOf } from './refusal.js';

const HALF = '\ud83c';

describe('entity()', () => {
  it('is a Delete by default', () => {
    expect(entity('User', 7n)).toEqual({
      action: 'Delete',
      entityType: 'User',
      entityId: '7',
      pattern: null,
      entityIds: null,
      metadata: null,
    });
    const content = { action: 'Update', metadata: { by: 'me' } } as const;
    expect(entity('session', 'a:b', content)).toEqual({
      action: 'Update',
      entityType: 'session',
      entityId: 'a:b',
      pattern: null,
      entityIds: null,
      metadata: { by: 'me' },
    });
  });

  it.each([
    ['an empty type', '', 1, 'entity_type'],
    ['a type with a colon', 'user:1', 1, 'entity_type'],
    ['an empty id', 'User', '', 'entity_id'],
    ['no id', 'User', undefined, 'entity_id'],
    ['NaN', 'User', Number.NaN, 'entity_id'],
    ['an object', 'User', { id: 1 }, 'entity_id'],
    ['half a character', 'User', HALF, 'entity_id'],
  ])('rejects %s', (_, type, id, field) => {
    expect(refusalOf(() => entity(type, id as string)).field).toBe(field);
  });
});

describe('batch()', () => {
  it('copies the keys', () => {
    const keys = ['user:1', 'session:a:b'];
    const said = batch(keys, 'why');
    keys.push('post:1');
    expect(said).toEqual({
      action: 'Batch',
      entityType: 'batch',
      entityId: null,
      pattern: null,
      entityIds: ['user:1', 'session:a:b'],
      metadata: 'why',
    });
    expect(batch([]).entityIds).toEqual([]);
    expect(said.entityIds).toSatisfy(Object.isFrozen);
  });

  it.each(['123', '', 'user:', ':1', `user:${HALF}`, 1, null, ['user:1']])(
    'rejects the key %j, and describes how to build keys',
    (wrong) => {
      const error = refusalOf(() => batch(['user:1', wrong as string]));
      expect(error.field).toBe('entity_ids');
      expect(error.advice).toContain('buildCacheKey');
    },
  );

  it('names the invalid key', () => {
    expect(() => batch(['user:1', '42'])).toThrow('"42" is not a cache key.');
  });

  it.each([undefined, null, 'user:1', new Set(['user:1'])])(
    'rejects %s instead of an array',
    (keys) => {
      const error = refusalOf(() => batch(keys as unknown as string[]));
      expect(error.field).toBe('entity_ids');
    },
  );

  it('rejects a sparse array', () => {
    expect(refusalOf(() => batch(Array(2) as string[])).field).toBe(
      'entity_ids',
    );
  });
});

describe('pattern()', () => {
  it('keeps the glob unchanged', () => {
    expect(pattern('feed:[0-9]\\*:*', 1)).toEqual({
      action: 'Pattern',
      entityType: 'pattern',
      entityId: null,
      pattern: 'feed:[0-9]\\*:*',
      entityIds: null,
      metadata: 1,
    });
  });

  it.each(['*', '**', '?*', '*?*', '??*?', '*[^]'])(
    'rejects %s, which matches everything, and advises invalidateAll()',
    (glob) => {
      const error = refusalOf(() => pattern(glob));
      expect(error.field).toBe('pattern');
      expect(error.message).toContain(JSON.stringify(glob));
      expect(error.advice).toContain('invalidateAll()');
    },
  );

  it.each(['????*', '*:*', '*a*', '\\*', '[*]'])('accepts %s', (glob) => {
    expect(pattern(glob).pattern).toBe(glob);
  });

  it.each(['', undefined, null, 1, /user/, ['user:*'], `feed:${HALF}*`])(
    'rejects %s',
    (glob) => {
      expect(refusalOf(() => pattern(glob as string)).field).toBe('pattern');
    },
  );

  it('rejects a pattern that is too long before it is compiled', () => {
    const longest = `${'a'.repeat(1_023)}*`;
    expect(pattern(longest).pattern).toBe(longest);
    const error = refusalOf(() => pattern(`a${longest}`));
    expect(error.field).toBe('pattern');
    expect(error.message).toContain('1025 characters');
    expect(error.advice).toContain('1024');
  });
});

it('everything() is a pattern that pattern() rejects', () => {
  expect(everything({ why: 'deploy' })).toEqual({
    ...pattern('a*'),
    pattern: '*',
    metadata: { why: 'deploy' },
  });
});
