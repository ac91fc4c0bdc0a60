import { deserialize, serialize } from 'node:v8';
import { InvalidationConfigurationError } from '../../errors/index.js';
import { L2UnavailableError } from '../../transport/index.js';

/** How values become bytes in Redis, and back. @publicApi */
export interface L2Serializer<V> {
  serialize(value: V): string | Buffer;
  /** An error counts as an entry that is not there. */
  deserialize(bytes: Buffer): V;
}

/** One whose every result is compared with the value before it is stored. @internal */
export interface CheckedSerializer<V> extends L2Serializer<V> {
  /** Bytes of the largest value that is compared; a larger one is not stored. */
  readonly checkedBytes: number;
  /** Rejects if it can serialize nothing. */
  readonly ready?: Promise<void>;
}

/** Written, read and compared within some 20 ms. */
const CHECKED_BYTES = 524_288;
/** class-transformer takes several times as long as JSON alone. */
const CHECKED_TYPED_BYTES = 131_072;

const PLAIN: L2Serializer<never> = {
  serialize: (value) => JSON.stringify(value),
  deserialize: (bytes) => JSON.parse(bytes.toString()) as never,
};

/**
 * JSON as it is, for values of which only that matters what JSON carries: a class
 * instance comes back as a plain object, a `Date` as a string. Nothing is checked.
 *
 * @publicApi
 */
export function json<V = unknown>(): L2Serializer<V> {
  return { ...PLAIN } as L2Serializer<unknown> as L2Serializer<V>;
}

/**
 * Node's structured clone, for values with a `Date`, a `Map`, a `Set`, a bigint,
 * bytes, or cycles. It carries no class instances and no functions; such values
 * are not stored. Nothing of the bytes is run when they are read; those of a
 * newer version of Node may not be understood by an older one, and are loaded
 * then.
 *
 * @param options.maxBytes of the largest value that is stored or read; 512 KiB
 * @throws InvalidationConfigurationError for what is no number of bytes
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
        problem: 'it will not do.',
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

/** JSON, of values that it carries unchanged. @internal */
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
 * JSON, and instances of a class again by class-transformer. What `@Exclude()`
 * hides from responses is kept, as it is in memory.
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
    // Whoever waits for it is told.
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
