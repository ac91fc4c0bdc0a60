import { deserialize, serialize } from 'node:v8';
import { createContext, runInContext } from 'node:vm';
import { structured } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { differenceOf } from '../../lib/cache/shared/difference.js';

/** A value of another realm, like the values in a test under Jest. */
function elsewhere(source: string): unknown {
  return runInContext(`(${source})`, createContext({}));
}

const clone = (value: unknown): unknown => deserialize(serialize(value));

describe('differenceOf() of a value from another realm', () => {
  it.each([
    '{ id: 1, nested: { list: [1, { deep: true }] } }',
    'Object.assign(Object.create(null), { id: 1 })',
    '[1, , { a: 1 }]',
    'new Date(5)',
    'new Map([[{ id: 1 }, new Set([new Date(1), { a: [1] }])]])',
    '/a+/gi',
    'new TypeError("wrong")',
    'Object("text")',
    'new Float64Array([1, NaN, -0])',
    'new Uint8Array([1, 2, 3]).buffer',
    '{ big: 10n, none: undefined }',
  ])('finds no difference to its structured clone: %s', (source) => {
    const value = elsewhere(source);

    expect(differenceOf(value, clone(value))).toBeNull();
  });

  it('finds no difference after structured()', () => {
    const serializer = structured();
    const value = elsewhere(
      '{ id: 1, seen: new Date(5), tags: new Set(["a"]) }',
    );
    const bytes = Buffer.from(serializer.serialize(value));

    expect(differenceOf(value, serializer.deserialize(bytes))).toBeNull();
  });

  it.each([
    ['{ seen: new Date(5) }', { seen: new Date(6) }, 'seen'],
    [
      '{ all: new Map([[1, { a: 1 }]]) }',
      { all: new Map([[1, { a: 2 }]]) },
      'all',
    ],
    ['{ all: new Set([1]) }', { all: new Map([[1, 1]]) }, 'all'],
    ['{ all: [1] }', { all: { 0: 1, length: 1 } }, 'all'],
    ['{ found: /a/ }', { found: /b/ }, 'found'],
    ['{ bytes: new Uint8Array([1]) }', { bytes: new Uint8Array([2]) }, 'bytes'],
    ['{ bytes: new Uint8Array([1]) }', { bytes: new Int8Array([1]) }, 'bytes'],
    ['{ error: new Error("a") }', { error: new Error('b') }, 'error'],
    ['{ error: new Error("a") }', { error: new TypeError('a') }, 'error'],
    [
      '{ lent: Object.assign(new Date(5), { a: 1 }) }',
      { lent: new Date(5) },
      'lent',
    ],
  ])('finds a different content or type: %s', (source, copy, path) => {
    expect(differenceOf(elsewhere(source), copy)?.path).toBe(path);
  });

  it.each(['Object', 'Date', 'User'])(
    'finds a difference to the clone of a class named %s',
    (name) => {
      const value = elsewhere(`new (class ${name} { id = 1 })()`);
      const map = elsewhere(`new Map([[1, new (class ${name} {})()]])`);

      expect(differenceOf(value, clone(value))?.kind).toBe(name);
      expect(differenceOf(map, clone(map))?.kind).toBe('Map');
    },
  );
});
