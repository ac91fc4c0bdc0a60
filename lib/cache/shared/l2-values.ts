import {
  CacheInvalidationError,
  describeCause,
  InvalidationSerializationError,
} from '../../errors/index.js';
import { atOnce } from '../../stream/index.js';
import { L2UnavailableError } from '../../transport/index.js';
import { differenceOf, type Difference } from './difference.js';
import { KIND, type L2Entry } from './l2-entry.js';
import type { ResolvedL2Options } from './l2.options.js';

/** @internal */
export type EncodedValue = Pick<L2Entry, 'kind' | 'bytes'>;

const NO_BYTES = Buffer.alloc(0);

/**
 * Values of one cache as bytes, and back. A value that Redis would not give back
 * unchanged is not shared, unless its serializer is not checked.
 *
 * @internal
 */
export class L2Values<V> {
  #unshared = 0;

  constructor(
    /** Name of the cache, for the log. */
    private readonly name: string,
    private readonly options: Pick<
      ResolvedL2Options<V>,
      'serializer' | 'strict'
    >,
    private readonly report: (error: CacheInvalidationError) => void,
    /** Called if the application's serializer fails. */
    private readonly onFailure: (error: Error) => void,
  ) {}

  /** Values that were not shared. */
  get unshared(): number {
    return this.#unshared;
  }

  /**
   * @returns `null` for a value that cannot be shared
   * @throws InvalidationSerializationError in its place if the option `strict` is set
   */
  encode(value: V): EncodedValue | null {
    if (value === undefined) return { kind: KIND.undefined, bytes: NO_BYTES };
    if (value === null) return { kind: KIND.null, bytes: NO_BYTES };
    const { strict } = this.options;
    try {
      return { kind: KIND.value, bytes: this.#serialize(value) };
    } catch (error) {
      const isOurs = error instanceof CacheInvalidationError;
      if (strict) throw isOurs ? error : unserializable(this.name, error);
      if (!isOurs) {
        this.onFailure(error as Error);
        return null;
      }
      // Other errors, such as a missing class-transformer, were reported before.
      const isFirst = this.#unshared++ === 0;
      if (isFirst && error instanceof InvalidationSerializationError) {
        this.report(error);
      }
      return null;
    }
  }

  /** Errors of the serializer are thrown. */
  decode({ kind, bytes }: EncodedValue): V {
    if (kind === KIND.undefined) return undefined as V;
    if (kind === KIND.null) return null as V;
    return atOnce(this.options.serializer.deserialize(bytes));
  }

  #serialize(value: V): Buffer {
    const { serializer } = this.options;
    const { checkedBytes } = serializer;
    if (checkedBytes === undefined) {
      return Buffer.from(atOnce(serializer.serialize(value)) as Buffer);
    }
    let bytes: Buffer;
    let difference: Difference | null;
    try {
      bytes = Buffer.from(serializer.serialize(value) as Buffer);
      if (bytes.length > checkedBytes) throw tooLarge(this.name, checkedBytes);
      difference = differenceOf(value, serializer.deserialize(bytes));
    } catch (error) {
      if (error instanceof CacheInvalidationError) throw error;
      if (error instanceof L2UnavailableError) throw error;
      throw unserializable(this.name, error);
    }
    if (difference !== null) throw changed(this.name, difference);
    return bytes;
  }
}

const CURE =
  'It is kept in memory only. Give l2 a type (of a class, for class-transformer), a serializer such as structured(), or serializer: json() if it may come back as JSON makes it.';

function changed(
  name: string,
  { path, kind }: Difference,
): InvalidationSerializationError {
  const place = path === '' ? '' : ` at ${path}`;
  return new InvalidationSerializationError(
    `A value of ${name} would come back from Redis changed: ${kind}${place}.`,
    CURE,
  );
}

function unserializable(
  name: string,
  cause: unknown,
): InvalidationSerializationError {
  return new InvalidationSerializationError(
    `A value of ${name} cannot be written to Redis: ${describeCause(cause as Error)}.`,
    CURE,
    cause,
  );
}

function tooLarge(name: string, bytes: number): InvalidationSerializationError {
  return new InvalidationSerializationError(
    `A value of ${name} has more than ${bytes} bytes, and is not checked for Redis.`,
    'It is kept in memory only. Keep smaller values, or give l2 a serializer of your own or json().',
  );
}
