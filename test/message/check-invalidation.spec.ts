import { describe, expect, it } from 'vitest';
import {
  batch,
  checkCustomType,
  checkInvalidation,
  entity,
  everything,
  pattern,
  type Invalidation,
} from '../../lib/message/index.js';
import { refusalOf } from './refusal.js';

const check = (given: unknown): Invalidation =>
  checkInvalidation(given as Invalidation);

describe('checkInvalidation(): an invalidation', () => {
  it.each([
    entity('User', 1),
    entity('session', 'a', { action: 'Update', metadata: { by: 'me' } }),
    batch(['user:1', 'a:b'], 'why'),
    pattern('feed:1:*', [1]),
    everything(false),
  ])('passes unchanged if a factory made it', (made) => {
    expect(check(made)).toEqual(made);
  });

  it('has only the fields of its action, and no metadata unless given', () => {
    const all = {
      entityType: 'User',
      entityId: '1',
      pattern: 'a*',
      entityIds: ['user:1'],
      other: 1,
    };
    expect(check({ ...all, action: 'Delete' })).toEqual(entity('User', 1));
    expect(check({ ...all, action: 'Pattern' })).toEqual(pattern('a*'));
    expect(check({ ...all, action: 'Batch' })).toEqual(batch(['user:1']));
  });

  it('may have keys that only another service knows', () => {
    const foreign = check({ action: 'Batch', entityIds: ['User:1', 'a:'] });
    expect(foreign.entityIds).toEqual(['User:1', 'a:']);
    const error = refusalOf(() => check({ action: 'Batch', entityIds: ['1'] }));
    expect(error.field).toBe('entity_ids');
    expect(() => check({ action: 'Batch', entityIds: [':1'] })).toThrow(
      '":1" is not a cache key.',
    );
  });

  it('may have a pattern of 1024 characters', () => {
    const glob = 'a'.repeat(1_024);
    expect(check({ action: 'Pattern', pattern: glob }).pattern).toBe(glob);
    const longer = { action: 'Pattern', pattern: `${glob}a` };
    expect(() => check(longer)).toThrow('This is no invalidation.');
  });

  it.each([
    undefined,
    null,
    {},
    { action: 'Evict', entityType: 'User', entityId: '1' },
    { entityType: 'User', entityId: '1' },
    { action: 'Delete', entityType: 'User', entityId: '' },
    { action: 'Delete', entityType: '', entityId: '1' },
    { action: 'Delete', entityType: 'User', entityId: 1 },
    { action: 'Update', entityType: 5, entityId: '1' },
    { action: 'Update', entityType: 'User' },
    { action: 'Delete', entityType: 'User', entityId: '\ud83c' },
    { action: 'Pattern', pattern: '' },
    { action: 'Pattern' },
    { action: 'Pattern', pattern: 5 },
  ])('is refused if it names nothing: %j', (given) => {
    const error = refusalOf(() => check(given));
    expect(error.message).toContain('This is no invalidation.');
    expect(error.advice).toContain('entity(), batch(), pattern()');
  });
});

describe('checkCustomType(): a type', () => {
  it('is any but a built-in one, which has a call of its own', () => {
    expect(checkCustomType('session')).toBe('session');
    expect(checkCustomType('user')).toBe('user');
    const error = refusalOf(() => checkCustomType('User'));
    expect(error.field).toBe('entity_type');
    expect(error.message).toContain('"User" is a built-in entity type.');
    expect(error.advice).toContain('invalidate("User", id)');
  });
});
