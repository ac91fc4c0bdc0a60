import {
  laterPosition,
  type BatchInvalidation,
  type CommitPosition,
  type EntityInvalidation,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';
import type { PublishSpan } from '../stream/index.js';
import type { EncodedMessage } from './split-batch.js';

/** Limits of one burst. @internal */
export interface BurstLimit {
  readonly keys: number;
  /** Bytes of all keys as JSON. */
  readonly bytes: number;
}

/** UTF-16 units become at most six bytes of JSON; a key has two quotes and a comma. */
const UNIT_BYTES = 6;
const KEY_BYTES = 3;

/**
 * Deletes of one tick that leave as one message. A burst takes keys until its message
 * is read, when the tick ends.
 *
 * @internal
 */
export class Burst implements EncodedMessage {
  readonly #keys = new Set<string>();
  #bytes = 0;
  /** The latest commit of all changes; `null` if one is not known. */
  #at: CommitPosition | null = null;
  /** Whether all callers named the same entity. */
  #isOne = true;
  #encoded: EncodedMessage | null = null;

  constructor(
    private readonly first: EntityInvalidation,
    private readonly limit: BurstLimit,
    /** The trace that all callers share. */
    readonly trace: unknown,
    private readonly encode: (
      invalidation: Invalidation,
      at: CommitPosition | null,
    ) => EncodedMessage,
  ) {}

  /**
   * @param at the commit of the change; `null` if it is not known
   * @returns whether the entity leaves with this burst, under this cache key
   */
  add(
    { entityType }: EntityInvalidation,
    key: string,
    at: CommitPosition | null,
  ): boolean {
    const later = this.#keys.size === 0 ? at : laterPosition(this.#at, at);
    // `user` and `User` have keys in common.
    this.#isOne &&= entityType === this.first.entityType;
    if (this.#keys.has(key)) {
      this.#at = later;
      return true;
    }
    const bytes = this.#bytes + UNIT_BYTES * key.length + KEY_BYTES;
    if (this.#keys.size >= this.limit.keys || bytes > this.limit.bytes) {
      return false;
    }
    this.#at = later;
    this.#bytes = bytes;
    this.#keys.add(key);
    this.#isOne &&= this.#keys.size === 1;
    return true;
  }

  get message(): InvalidationMessage {
    return this.#seal().message;
  }

  get payload(): string {
    return this.#seal().payload;
  }

  get span(): PublishSpan | undefined {
    return this.#seal().span;
  }

  #seal(): EncodedMessage {
    this.#encoded ??= this.encode(
      this.#isOne ? this.first : batchOf([...this.#keys]),
      this.#at,
    );
    return this.#encoded;
  }
}

/** The keys are those of checked invalidations. */
function batchOf(keys: readonly string[]): BatchInvalidation {
  return {
    action: 'Batch',
    entityType: 'batch',
    entityId: null,
    pattern: null,
    entityIds: Object.freeze(keys),
    metadata: null,
  };
}
