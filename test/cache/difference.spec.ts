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

class User {
  constructor(readonly name: string) {}
}

function hidden(symbol: symbol | string): object {
  const value = Object.defineProperty({ a: 1 }, symbol, { value: 1 });
  return value;
}

describe('differenceOf()', () => {
  const cycle = (): unknown[] => {
    const value: unknown[] = [];
    value.push({ value });
    return value;
  };
  // oxlint-disable-next-line no-sparse-arrays -- the subject of the test
  const sparse = (): unknown[] => [1, , 2];
  const shared = { a: 1 };

  it.each<[string, unknown, unknown]>([
    ['a primitive', 'a', 'a'],
    ['NaN', Number.NaN, Number.NaN],
    ['a list', [1, [2]], [1, [2]]],
    ['a list with a hole', sparse(), sparse()],
    ['a cycle', cycle(), cycle()],
    ['a value in two places', [shared, shared], [{ a: 1 }, { a: 1 }]],
    ['an instance', new User('Ada'), new User('Ada')],
    ['an object without a prototype', Object.create(null), {}],
    ['an undefined property that is absent', { a: undefined }, {}],
    ['an undefined property', { a: undefined, b: 1 }, { a: undefined, b: 1 }],
    ['an added undefined property', { a: 1 }, { a: 1, b: undefined }],
    ['another order of properties', { a: 1, b: 2 }, { b: 2, a: 1 }],
    ['a hidden property', hidden('h'), { a: 1 }],
    ['a hidden symbol', hidden(Symbol('h')), { a: 1 }],
    ['a Date', new Date(5), new Date(5)],
    ['a Map', new Map([[1, { a: 1 }]]), new Map([[1, { a: 1 }]])],
    ['a Set', new Set([{ a: 1 }]), new Set([{ a: 1 }])],
    ['bytes', Buffer.from('a'), Buffer.from('a')],
  ])('finds none in %s', (_, value, copy) => {
    expect(differenceOf(value, copy)).toBeNull();
  });

  it.each<[unknown, unknown, string, string]>([
    ['a', 'b', '', 'string'],
    [1, 2, '', 'number'],
    [-0, 0, '', '-0'],
    [Number.NaN, null, '', 'NaN'],
    [-Infinity, null, '', '-Infinity'],
    [null, {}, '', 'object'],
    [{}, null, '', 'Object'],
    [undefined, null, '', 'undefined'],
    [{ a: undefined }, { a: null }, 'a', 'undefined'],
    [[undefined], [null], '[0]', 'undefined'],
    [Object.create(null), 1, '', 'object'],
    [{ constructor: 1 }, 1, '', 'object'],
    [{ a: 1 }, { a: 1, b: 2 }, '', 'Object'],
    [{ a: undefined }, { b: 1 }, '', 'Object'],
    [{ a: 1 }, {}, 'a', 'number'],
    [{ [Symbol('s')]: 1 }, {}, '', 'Object'],
    [
      Object.defineProperty({ [Symbol('s')]: 1 }, Symbol('h'), {}),
      {},
      '',
      'Object',
    ],
    [[1], [1, 2], '', 'Array'],
    [[1, 2], [1], '', 'Array'],
    [sparse(), [1, undefined, 2], '', 'Array'],
    [Object.assign([1], { a: 1 }), [1], '', 'Array'],
    [Object.assign([], { length: 2 }), [], '', 'Array'],
    [[[1]], [[2]], '[0][0]', 'number'],
    [[{ a: { b: 1 } }], [{ a: { b: 2 } }], '[0].a.b', 'number'],
    [{ a: [1] }, { a: [2] }, 'a[0]', 'number'],
    [{ $a_1: 1 }, { $a_1: 2 }, '$a_1', 'number'],
    [{ 'a b': { c: 1 } }, { 'a b': { c: 2 } }, '[…].c', 'number'],
    [{ a: { 'b@': 1 } }, { a: { 'b@': 2 } }, 'a[…]', 'number'],
    [{ 1: 1 }, { 1: 2 }, '[…]', 'number'],
    [{ ['a'.repeat(40)]: 1 }, {}, 'a'.repeat(40), 'number'],
    [{ ['a'.repeat(41)]: 1 }, {}, '[…]', 'number'],
    [new User('Ada'), { name: 'Ada' }, '', 'User'],
    [{ name: 'Ada' }, new User('Ada'), '', 'Object'],
    [new Map(), new Set(), '', 'Map'],
    [new Map([[1, 2]]), new Map([[1, 3]]), '', 'Map'],
    [
      new Map([[1, 2]]),
      new Map([
        [1, 2],
        [3, 4],
      ]),
      '',
      'Map',
    ],
    [Object.assign(new Map(), { a: 1 }), new Map(), '', 'Map'],
    [new Map(), Object.create(Map.prototype), '', 'Map'],
    [new Set([1]), new Set([2]), '', 'Set'],
    [
      Object.assign(new Uint8Array(1), { a: 1 }),
      new Uint8Array(1),
      '',
      'Uint8Array',
    ],
    [new Date(5), new Date(6), '', 'Date'],
    [/a/, /b/, '', 'RegExp'],
    [new Error('a'), new Error('b'), '', 'Error'],
    [Object(1), Object(2), '', 'Number'],
    [new ArrayBuffer(1), new ArrayBuffer(2), '', 'ArrayBuffer'],
    [new Uint8Array([1]), new Uint8Array([2]), '', 'Uint8Array'],
    [Object.create({ constructor: Date }), new Date(5), '', 'Date'],
    [Object.create({ a: 1 }), Object.create({ a: 1 }), '', 'Object'],
    [
      Object.create(Object.create(null)),
      Object.create(Object.create(null)),
      '',
      'object',
    ],
  ])(
    'finds the place and the class of a difference: case %#',
    (value, copy, path, kind) => {
      expect(differenceOf(value, copy)).toEqual({ path, kind });
    },
  );

  it.each<[string, unknown]>([
    ['/a/g', /a/i],
    ['Object.assign(/a/g, { lastIndex: 1 })', /a/g],
    ['Object.assign(/a/, { b: 1 })', /a/],
    ['new Error("a", { cause: 1 })', new Error('a', { cause: 2 })],
    [
      'Object.assign(new Error("a"), { stack: "x", code: 1 })',
      Object.assign(new Error('a'), { stack: 'x', code: 2 }),
    ],
    [
      'Object.assign(new Error("a"), { stack: "x" })',
      Object.assign(new Error('a'), { stack: 'y' }),
    ],
    [
      'Object.assign(new Error("a"), { stack: "x", name: "N" })',
      Object.assign(new Error('a'), { stack: 'x', name: 'M' }),
    ],
    [
      'Object.assign(new Error("a"), { stack: "x" })',
      Object.assign(new Error('b'), { stack: 'x' }),
    ],
    [
      'new DataView(new Uint8Array([1]).buffer)',
      new DataView(new Uint8Array([2]).buffer),
    ],
    ['Object("text")', Object('other')],
    ['new Map([[1, 2]])', new Map([[1, 3]])],
    ['new Uint8Array([1, 2]).buffer', new Uint8Array([1, 3]).buffer],
    ['new Uint8Array(new Uint8Array([1, 2]).buffer, 1)', new Uint8Array([1])],
    [
      'Object.assign(new Date(5), { a: 1 })',
      Object.assign(new Date(5), { a: 2 }),
    ],
  ])('finds a difference to a copy of another realm: %s', (source, copy) => {
    const value = elsewhere(source);

    expect(differenceOf(value, copy)).toMatchObject({ path: '' });
  });

  it.each<[string, unknown]>([
    [
      'Object.assign(new Error("a"), { stack: "x" })',
      Object.assign(new Error('a'), { stack: 'x' }),
    ],
    ['new Uint8Array(new Uint8Array([1, 2]).buffer, 1)', new Uint8Array([2])],
    [
      'Object.assign(new Date(5), { a: 1 })',
      Object.assign(new Date(5), { a: 1 }),
    ],
  ])('finds none to an equal copy of another realm: %s', (source, copy) => {
    expect(differenceOf(elsewhere(source), copy)).toBeNull();
  });
});
