import { describe, expect, it } from 'vitest';
import {
  batch,
  entity,
  everything,
  IdNormalizer,
  pattern,
  type IdForms,
  type Invalidation,
} from '../../lib/message/index.js';

const lower = (id: string): string => id.toLowerCase();
const broken = (): never => {
  throw new Error('broken');
};

function normalize(forms: IdForms, message: Invalidation): Invalidation {
  return IdNormalizer.of(forms)!.message(message);
}

/** The pattern that a pattern becomes where ids of users are lower case. */
const patternFor = (glob: string): string | null =>
  normalize({ User: lower }, pattern(glob)).pattern;

describe('Forms of ids', () => {
  it('are none where none are given', () => {
    expect(IdNormalizer.of(undefined)).toBeNull();
    expect(IdNormalizer.of({})).toBeNull();
  });

  it('are found by entity type', () => {
    const ids = IdNormalizer.of({ User: lower, session: lower })!;
    expect(ids.formOf('User')).toBe(lower);
    expect(ids.formOf('session')).toBe(lower);
    expect(ids.formOf('Post')).toBeNull();
  });

  it('are those of an entity', () => {
    const update = entity('User', 'AB', { action: 'Update', metadata: 1 });
    expect(normalize({ User: lower }, update)).toEqual({
      ...update,
      entityId: 'ab',
    });
    const post = entity('Post', 'AB');
    expect(normalize({ User: lower }, post)).toBe(post);
  });

  it('are those of each key of a batch', () => {
    const said = batch(['user:A:B', 'post:AB', 'session:CD'], 'why');
    expect(normalize({ User: lower, session: lower }, said)).toEqual({
      ...said,
      entityIds: ['user:a:b', 'post:AB', 'session:cd'],
    });
  });

  it.each([
    ['throws', broken],
    ['answers nothing', () => ''],
    ['answers no id', () => undefined as unknown as string],
  ])('that fail widen the message: one that %s', (_, form) => {
    const forms = { User: form };
    const metadata = 'why';
    const wide = everything(null);
    expect(normalize(forms, entity('User', 1))).toEqual(wide);
    expect(normalize(forms, batch(['post:1', 'user:1']))).toEqual(wide);
    const post = batch(['post:1'], metadata);
    expect(normalize(forms, post)).toEqual(post);
  });

  it('leave a pattern alone that is in form, or of another type', () => {
    expect(patternFor('user:ab*')).toBe('user:ab*');
    expect(patternFor('post:AB*')).toBe('post:AB*');
    // The form is of the ids, and not of the type.
    const order = pattern('OrderX:ab*');
    expect(normalize({ OrderX: lower }, order)).toEqual(order);
    expect(normalize({ User: broken }, everything())).toEqual(everything());
  });

  it('widen a pattern that is not in form to its type, or to everything', () => {
    expect(patternFor('user:AB*')).toBe('user:*');
    expect(patternFor('us*AB')).toBe('*');
    const said = pattern('a[b]:AB*', 'why');
    const forms = { Other: lower, 'a*': lower };
    expect(normalize(forms, pattern('a\\*:AB*', 'why'))).toEqual({
      ...said,
      pattern: 'a\\*:*',
    });
  });
});
