import { InvalidationSerializationError } from '../errors/index.js';
import type { Invalidation, InvalidationMessage } from '../message/index.js';
import type { PublishSpan } from '../stream/index.js';

/** A message and its text. @internal */
export interface EncodedMessage {
  readonly message: InvalidationMessage;
  readonly payload: string;
  /** Set on messages that a cascade rule added. */
  readonly cascaded?: true;
  /** Its span, where publishing is traced. */
  readonly span?: PublishSpan;
}

/**
 * Encodes an invalidation; a batch of more keys than fit becomes several
 * messages. Nothing is ever truncated.
 *
 * @throws InvalidationSerializationError if what cannot be split does not fit.
 * @internal
 */
export function encodeInParts(
  invalidation: Invalidation,
  maxKeys: number,
  encode: (invalidation: Invalidation) => EncodedMessage,
): EncodedMessage[] {
  if (invalidation.action !== 'Batch') return [encode(invalidation)];
  const keys = invalidation.entityIds;
  let step = maxKeys;
  if (keys.length <= maxKeys) {
    try {
      return [encode(invalidation)];
    } catch (error) {
      const tooLarge = error instanceof InvalidationSerializationError;
      if (!tooLarge || keys.length === 1) throw error;
      step = Math.ceil(keys.length / 2);
    }
  }
  const parts: EncodedMessage[] = [];
  for (let from = 0; from < keys.length; from += step) {
    const entityIds = Object.freeze(keys.slice(from, from + step));
    parts.push(...encodeInParts({ ...invalidation, entityIds }, step, encode));
  }
  return parts;
}
