import { describe, expect, it } from 'vitest';
import { InvalidationSerializationError } from '../../lib/errors/index.js';
import { isolationBy, ISOLATIONS } from '../../lib/cache/near/isolation.js';

const { freeze, clone } = ISOLATIONS;

function thrownBy(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error('Nothing was thrown.');
}

describe('isolationBy()', () => {
  it('is null for readers that share one object', () => {
    expect(isolationBy(false)).toBeNull();
    expect(isolationBy('clone')).toBe(clone);
    expect(isolationBy('freeze')).toBe(freeze);
  });

  it('prepares a value for each reader only where it is cloned', () => {
    expect(freeze.give).toBeNull();
    const value = { a: 1 };
    expect(clone.give!(value)).toEqual(value);
    expect(clone.give!(value)).not.toBe(value);
  });
});

describe('freezing a value', () => {
  it('refuses every change of a Date, and still answers questions', () => {
    const date = freeze.keep(new Date(5));
    expect(() => date.setTime(1)).toThrow(
      new TypeError('A near cache has frozen this value: change a copy.'),
    );
    expect(() => date.setUTCFullYear(1)).toThrow('change a copy');
    expect(date.getTimezoneOffset()).toBe(new Date(5).getTimezoneOffset());
    expect(date.getTime()).toBe(5);
  });

  it('refuses every change of a Map and a Set, and still answers questions', () => {
    const map = freeze.keep(new Map([[1, 'a']]));
    const set = freeze.keep(new Set([1]));
    for (const change of [
      () => map.set(2, 'b'),
      () => map.delete(1),
      () => map.clear(),
      () => set.add(2),
      () => set.delete(1),
      () => set.clear(),
    ]) {
      expect(change).toThrow('change a copy');
    }
    expect([map.get(1), [...map.keys()], set.has(1)]).toEqual(['a', [1], true]);
  });

  it('freezes keys and values of a Map, and elements of a Set and a list', () => {
    const [key, value, element, item] = [{}, {}, {}, {}];
    freeze.keep({
      map: new Map([[key, value]]),
      set: new Set([element]),
      list: [item, null, undefined, 'text'],
    });
    for (const part of [key, value, element, item]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it('freezes values of cycles, and returns the value itself', () => {
    const value: { self?: unknown } = {};
    value.self = { value };
    expect(freeze.keep(value)).toBe(value);
    expect(Object.isFrozen(value.self)).toBe(true);
    for (const one of ['text', 1, null, undefined]) {
      expect(freeze.keep(one)).toBe(one);
    }
  });

  it('accepts what was frozen before, as by another cache', () => {
    const user = { since: new Date(5), tags: new Set(['a']) };
    freeze.keep(user);
    expect(freeze.keep({ user }).user).toBe(user);
  });

  it('accepts a Date that the application has frozen', () => {
    const date = Object.freeze(new Date(5));
    expect(freeze.keep({ date }).date).toBe(date);
  });

  it('adds nothing to other objects', () => {
    const names = Object.getOwnPropertyNames(freeze.keep({ a: 1 }));
    expect(names).toEqual(['a']);
  });

  it('freezes parts of an object that is frozen already', () => {
    const inner = {};
    freeze.keep(Object.freeze({ inner }));
    expect(Object.isFrozen(inner)).toBe(true);
  });

  it.each([
    ['a Buffer', Buffer.from('x')],
    ['an ArrayBuffer', new ArrayBuffer(1)],
    ['shared memory', new SharedArrayBuffer(1)],
    ['an empty typed array', new Uint8Array(0)],
  ])('rejects %s, and says what to do', (_, bytes) => {
    const error = thrownBy(() => freeze.keep({ bytes }));
    expect(error).toBeInstanceOf(InvalidationSerializationError);
    expect(error.message).toBe(
      "A loaded value holds bytes, which cannot be frozen. Give the near cache isolate: 'clone'.",
    );
  });
});

describe('cloning a value', () => {
  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['an object with a function', { save: () => 1 }],
  ])('rejects %s, and says what to do', (_, value) => {
    const error = thrownBy(() => clone.keep(value));
    expect(error).toBeInstanceOf(InvalidationSerializationError);
    expect(error.message).toBe(
      "A loaded value cannot be cloned: it holds a function, or something else that is no data. Return data without functions, or give the near cache isolate: 'freeze'.",
    );
  });

  it('leaves primitive values as they are', () => {
    for (const value of ['text', 1, 2n, true, null, undefined]) {
      expect(clone.keep(value)).toBe(value);
    }
  });
});
