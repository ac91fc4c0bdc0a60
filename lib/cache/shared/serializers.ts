import { deserialize, serialize } from 'node:v8';
import { InvalidationConfigurationError } from '../../errors/index.js';
import { L2UnavailableError } from '../../transport/index.js';

/** Turns values into bytes for Redis, and back. @publicApi */
export interface L2Serializer<V> {
  serialize(value: V): string | Buffer;
  /** An error counts as a missing entry. */
  deserialize(bytes: Buffer): V;
}

/** A serializer whose results are compared with the value before they are stored. @internal */
export interface CheckedSerializer<V> extends L2Serializer<V> {
  /** Bytes of the largest value that is compared; larger values are not stored. */
  readonly checkedBytes: number;
  /** Resolves once it can serialize; rejects if it never can. */
  readonly ready?: Promise<void>;
}

/** A value of this size is written, read and compared within some 20 ms. */
const CHECKED_BYTES = 524_288;
/** Smaller, since class-transformer takes several times as long as JSON alone. */
const CHECKED_TYPED_BYTES = 131_072;

const PLAIN: L2Serializer<never> = {
  serialize: (value) => JSON.stringify(value),
  deserialize: (bytes) => JSON.parse(bytes.toString()) as never,
};

/**
 * Plain `JSON.stringify()` and `JSON.parse()`, unchecked: a class instance comes back
 * as a plain object, a `Date` as a string.
 *
 * @publicApi
 */
export function json<V = unknown>(): L2Serializer<V> {
  return { ...PLAIN } as L2Serializer<unknown> as L2Serializer<V>;
}

/**
 * Node's structured clone, for values with a `Date`, a `Map`, a `Set`, a bigint,
 * bytes, or cycles. Values with class instances or functions are not stored. Reading
 * runs no code of the bytes. An older version of Node may not understand bytes of a
 * newer one; such values are loaded instead.
 *
 * @param options.maxBytes size of the largest value that is stored or read; 512 KiB
 * @throws InvalidationConfigurationError for an impossible `maxBytes`
 * @publicApi
 */
export function structured<V = unknown>(
  options: { readonly maxBytes?: number } = {},
): L2Serializer<V> {
  const { maxBytes = CHECKED_BYTES } = options;
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0) {
    throw new InvalidationConfigurationError('structured() cannot be used:', [
      {
        field: 'maxBytes',
        problem: 'it is not valid.',
        fix: 'Give a number of bytes.',
      },
    ]);
  }
  const serializer: CheckedSerializer<V> = {
    checkedBytes: maxBytes,
    serialize,
    deserialize(bytes) {
      if (bytes.length > maxBytes) {
        throw new Error('an entry is larger than maxBytes of structured()');
      }
      return deserialize(bytes) as V;
    },
  };
  return serializer;
}

/** JSON, for values that it gives back unchanged. @internal */
export const CHECKED_JSON: CheckedSerializer<never> = {
  ...PLAIN,
  checkedBytes: CHECKED_BYTES,
};

/** A class, as `l2.type` names it. @publicApi */
// oxlint-disable-next-line typescript/no-explicit-any -- constructors are not called here
export type ValueClass = new (...args: any[]) => object;

type ToInstance = (
  type: ValueClass,
  plain: unknown,
  options: { readonly ignoreDecorators: boolean },
) => unknown;

/**
 * JSON, made instances of a class again by class-transformer. Properties that
 * `@Exclude()` hides from responses are kept, as they are in memory.
 *
 * @internal
 */
export class TypedSerializer<V> implements CheckedSerializer<V> {
  readonly checkedBytes = CHECKED_TYPED_BYTES;
  readonly ready: Promise<void>;
  #toInstance: ToInstance = () => {
    throw new L2UnavailableError('class-transformer is not loaded yet.');
  };

  constructor(private readonly type: () => ValueClass) {
    this.ready = this.#load();
    // Handled by those who wait for it.
    this.ready.catch(() => undefined);
  }

  serialize(value: V): string {
    return JSON.stringify(value);
  }

  deserialize(bytes: Buffer): V {
    const plain: unknown = JSON.parse(bytes.toString());
    const options = { ignoreDecorators: true };
    return this.#toInstance(this.type(), plain, options) as V;
  }

  async #load(): Promise<void> {
    try {
      const loaded = await import('class-transformer');
      this.#toInstance = loaded.plainToInstance;
    } catch {
      this.#toInstance = () => {
        throw notInstalled();
      };
      throw notInstalled();
    }
  }
}

function notInstalled(): InvalidationConfigurationError {
  return new InvalidationConfigurationError(
    'A near cache cannot keep class instances in Redis:',
    [
      {
        field: 'l2.type',
        problem: 'class-transformer is not installed.',
        fix: 'Run `npm install class-transformer`.',
      },
    ],
  );
}
