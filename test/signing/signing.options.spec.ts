import { describe, expect, it } from 'vitest';
import { resolveOptions } from '../../lib/cache-invalidation.module-options.js';
import { signingFrom } from '../../lib/signing/index.js';
import { NEW, OLD } from './keys.js';

function resolved(signing: unknown): unknown {
  return resolveOptions({ serviceName: 'user-service', signing }).signing;
}

describe('the option signing', () => {
  it.each([
    [{ keys: { a: NEW } }],
    [
      {
        keys: { '2026-11': NEW, old_1: OLD },
        signWith: 'old_1',
        accept: 'all',
      },
    ],
    [{ keys: { a: Buffer.alloc(32, 1) }, accept: 'signed' }],
    [{ keys: { '2027': NEW } }],
    [{ keys: { '2027': NEW, '2026': OLD }, signWith: '2027' }],
  ])('is taken: %j', (signing) => {
    expect(resolved(signing)).toEqual(signing);
  });

  it.each([
    [true],
    [{}],
    [{ keys: {} }],
    [{ keys: { a: 'short' } }],
    [{ keys: { a: `${NEW} ` } }],
    [{ keys: { a: Buffer.alloc(31) } }],
    [{ keys: { 'a:b': NEW } }],
    [{ keys: { '': NEW } }],
    [{ keys: { ['a'.repeat(33)]: NEW } }],
    [{ keys: { a: NEW }, signWith: 'b' }],
    [{ keys: { a: NEW }, accept: 'none' }],
    [{ keys: { a: NEW }, secret: NEW }],
    [{ keys: [NEW] }],
    [{ keys: { '2027': NEW, '2026': OLD } }],
  ])('is refused, without a word of it in the error: %j', (signing) => {
    const refusal = /signing: it is no ring of keys\. Give \{ keys/;
    expect(() => resolved(signing)).toThrow(refusal);
    expect(() => resolved(signing)).not.toThrow(NEW);
  });

  it('is read from the environment, where the first key signs', () => {
    expect(signingFrom(`b:${NEW}, a:${OLD}`, ' all ')).toEqual({
      keys: { b: NEW, a: OLD },
      signWith: 'b',
      accept: 'all',
    });
    expect(signingFrom(`b:${NEW}`, undefined)).toEqual({
      keys: { b: NEW },
      signWith: 'b',
    });
    expect(signingFrom(undefined, undefined)).toBeUndefined();
    expect(signingFrom(' ', '')).toBeUndefined();
  });

  it('is refused if the environment says what to accept, and has no keys', () => {
    expect(() => resolved(signingFrom('', 'signed'))).toThrow(/no ring/);
  });

  it.each(['no-colon', `a:${NEW}:x`, `a:${NEW},`, `a:${NEW},a:${OLD}`])(
    'is refused if the environment cannot be read: %j',
    (text) => {
      expect(() => resolved(signingFrom(text, undefined))).toThrow(/no ring/);
    },
  );
});
