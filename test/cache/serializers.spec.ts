import { Exclude } from 'class-transformer';
import { describe, expect, it } from 'vitest';
import {
  InvalidationConfigurationError,
  InvalidationSerializationError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { KIND } from '../../lib/cache/shared/l2-entry.js';
import { L2Values } from '../../lib/cache/shared/l2-values.js';
import {
  CHECKED_JSON,
  json,
  structured,
  TypedSerializer,
  type CheckedSerializer,
  type L2Serializer,
} from '../../lib/cache/shared/serializers.js';
import { L2UnavailableError } from '../../lib/transport/index.js';

class User {
  name = 'Ada';
}

const CURE =
  'It is kept in memory only. Give l2 a type (of a class, for class-transformer), a serializer such as structured(), or serializer: json() if it may come back as JSON makes it.';

describe('json()', () => {
  it('writes and reads JSON, and is not checked', () => {
    const serializer = json<object>();
    expect(serializer.serialize(new User())).toBe('{"name":"Ada"}');
    expect(serializer.deserialize(Buffer.from('{"a":[1]}'))).toEqual({
      a: [1],
    });
    expect(serializer).not.toHaveProperty('checkedBytes');
    expect(json()).not.toBe(json());
  });
});

describe('structured()', () => {
  it('writes and reads structured clones of at most 512 KiB, unless told otherwise', () => {
    const serializer = structured() as CheckedSerializer<unknown>;
    const value = { at: new Date(5), all: new Set([1n]) };
    const bytes = Buffer.from(serializer.serialize(value));
    expect(serializer.deserialize(bytes)).toEqual(value);
    expect(serializer.checkedBytes).toBe(524_288);
  });

  it('reads bytes up to its limit', () => {
    const size = Buffer.from(structured().serialize('abc')).length;
    const [fitting, smaller] = [size, size - 1].map((maxBytes) =>
      structured({ maxBytes }),
    );
    const bytes = Buffer.from(fitting!.serialize('abc'));
    expect(fitting!.deserialize(bytes)).toBe('abc');
    expect(() => smaller!.deserialize(bytes)).toThrow(
      new Error('an entry is larger than maxBytes of structured()'),
    );
  });

  it.each([0, -1, 1.5, Number.NaN, '7'])('rejects the limit %j', (maxBytes) => {
    const error = thrownBy(() => structured({ maxBytes: maxBytes as number }));
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(error!.message).toBe(
      'structured() cannot be used:\n  - maxBytes: it is not valid. Give a number of bytes.',
    );
  });

  it('accepts a limit of one byte', () => {
    expect(structured({ maxBytes: 1 })).toMatchObject({ checkedBytes: 1 });
  });
});

describe('TypedSerializer', () => {
  it('makes instances of its class, once class-transformer is loaded', async () => {
    const serializer = new TypedSerializer<User>(() => User);
    const bytes = Buffer.from(serializer.serialize(new User()));
    expect(() => serializer.deserialize(bytes)).toThrow(
      new L2UnavailableError('class-transformer is not loaded yet.'),
    );
    await serializer.ready;
    expect(serializer.deserialize(bytes)).toBeInstanceOf(User);
    expect(serializer.checkedBytes).toBe(131_072);
  });

  it('keeps properties that @Exclude() hides from responses', async () => {
    class Account {
      @Exclude()
      hash = 'none';
    }
    const serializer = new TypedSerializer<Account>(() => Account);
    await serializer.ready;
    const bytes = Buffer.from('{"hash":"secret"}');
    expect(serializer.deserialize(bytes).hash).toBe('secret');
  });
});

function valuesOf<V>(
  serializer: L2Serializer<V> & Partial<CheckedSerializer<V>>,
  strict = false,
) {
  const reported: CacheInvalidationError[] = [];
  const failures: Error[] = [];
  const values = new L2Values<V>(
    'Users',
    { serializer, strict },
    (error) => reported.push(error),
    (error) => failures.push(error),
  );
  return { values, reported, failures };
}

function thrownBy(act: () => unknown): Error | null {
  try {
    act();
    return null;
  } catch (error) {
    return error as Error;
  }
}

describe('L2Values', () => {
  it('writes and reads values, and those that do not exist without the serializer', () => {
    const serializer = {
      serialize: () => 'written',
      deserialize: (bytes: Buffer) => `read ${String(bytes)}`,
    };
    const { values } = valuesOf<string | null | undefined>(serializer);
    expect(values.encode('a')).toEqual({
      kind: 'v',
      bytes: Buffer.from('written'),
    });
    expect(values.encode(null)).toEqual({ kind: 'n', bytes: Buffer.alloc(0) });
    expect(values.encode(undefined)).toEqual({
      kind: 'u',
      bytes: Buffer.alloc(0),
    });
    const bytes = Buffer.from('x');
    expect(values.decode({ kind: KIND.value, bytes })).toBe('read x');
    expect(values.decode({ kind: KIND.null, bytes })).toBeNull();
    expect(values.decode({ kind: KIND.undefined, bytes })).toBeUndefined();
    expect(values.unshared).toBe(0);
  });

  it.each([
    [new User(), 'A value of Users would come back from Redis changed: User.'],
    [
      { at: [new Date(0)] },
      'A value of Users would come back from Redis changed: Date at at[0].',
    ],
    [
      { n: 1n },
      'A value of Users cannot be written to Redis: Do not know how to serialize a BigInt.',
    ],
  ])(
    'reports the first value that JSON would change, and counts all: %#',
    (value, what) => {
      const { values, reported, failures } = valuesOf<unknown>(CHECKED_JSON);
      for (let at = 0; at < 3; at++) expect(values.encode(value)).toBeNull();
      expect(reported.map(({ message }) => message)).toEqual([
        `${what} ${CURE}`,
      ]);
      expect(reported[0]).toBeInstanceOf(InvalidationSerializationError);
      expect(values.unshared).toBe(3);
      expect(failures).toEqual([]);
      const strict = valuesOf<unknown>(CHECKED_JSON, true);
      const error = thrownBy(() => strict.values.encode(value));
      expect(error!.message).toBe(`${what} ${CURE}`);
      expect(strict.values.unshared).toBe(0);
    },
  );

  it('shares a value up to the size that is checked', () => {
    const size = Buffer.from(structured().serialize('abc')).length;
    const [fitting, smaller] = [size, size - 1].map((maxBytes) =>
      valuesOf<unknown>(structured({ maxBytes })),
    );
    expect(fitting!.values.encode('abc')).toMatchObject({ kind: 'v' });
    expect(smaller!.values.encode('abc')).toBeNull();
    expect(smaller!.reported.map(({ message }) => message)).toEqual([
      `A value of Users has more than ${size - 1} bytes, and is not checked for Redis. It is kept in memory only. Keep smaller values, or give l2 a serializer of your own or json().`,
    ]);
  });

  it('hands over errors of a serializer that is not checked', () => {
    const failing = {
      serialize: (): never => {
        throw new Error('of the serializer');
      },
      deserialize: () => Promise.resolve('a') as never,
    };
    const { values, reported, failures } = valuesOf<string>(failing);
    expect(values.encode('a')).toBeNull();
    expect(failures).toEqual([new Error('of the serializer')]);
    expect([reported, values.unshared]).toEqual([[], 0]);
    expect(() =>
      values.decode({ kind: KIND.value, bytes: Buffer.alloc(0) }),
    ).toThrow('a promise');
    const strict = valuesOf<string>(failing, true);
    const error = thrownBy(() => strict.values.encode('a'));
    expect(error).toBeInstanceOf(InvalidationSerializationError);
    expect(error!.message).toBe(
      `A value of Users cannot be written to Redis: of the serializer. ${CURE}`,
    );
    expect(error!.cause).toEqual(new Error('of the serializer'));
  });

  it('takes a promise of a serializer for a failure', () => {
    const serializer = {
      ...json<string>(),
      serialize: () => Promise.resolve('a') as never,
    };
    const { values, failures } = valuesOf<string>(serializer);
    expect(values.encode('a')).toBeNull();
    expect(failures[0]!.message).toContain('a promise');
  });

  it('counts a missing class-transformer without reporting it again', () => {
    const missing = (): never => {
      throw new InvalidationConfigurationError('class-transformer is missing');
    };
    const serializer = { ...CHECKED_JSON, deserialize: missing };
    const { values, reported, failures } = valuesOf<unknown>(serializer);
    expect(values.encode({ a: 1 })).toBeNull();
    expect([reported, failures, values.unshared]).toEqual([[], [], 1]);
    const strict = valuesOf<unknown>(serializer, true);
    expect(() => strict.values.encode({ a: 1 })).toThrow(
      'class-transformer is missing',
    );
  });

  it('takes a serializer that is not loaded yet for a failure, and shares the value later', async () => {
    const serializer = new TypedSerializer<User>(() => User);
    const { values, reported, failures } = valuesOf<User>(serializer);
    expect(values.encode(new User())).toBeNull();
    expect(failures[0]).toBeInstanceOf(L2UnavailableError);
    await serializer.ready;
    expect(values.encode(new User())).toMatchObject({ kind: 'v' });
    expect([reported, values.unshared]).toEqual([[], 0]);
  });
});
