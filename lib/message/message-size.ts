import type { CommitPosition } from './commit-position.js';
import type { Invalidation } from './invalidation.js';

/** How much may wait in one place. @internal */
export interface QueueLimit {
  readonly messages: number;
  /** Bytes by `sizeOf`. */
  readonly bytes: number;
}

/** Memory of an object with ten fields and short texts. */
const MESSAGE_BYTES = 500;
const VALUE_BYTES = 16;

/** Messages that wait for several handlers are measured once. */
const measured = new WeakMap<Invalidation, number>();

/**
 * The memory of a message in bytes, roughly: precise enough to bound queues. One
 * character counts as a byte.
 *
 * @internal
 */
export function sizeOf(
  message: Invalidation & { readonly at?: CommitPosition | null },
): number {
  const { entityId, pattern, entityIds, metadata, at = null } = message;
  if (entityIds === null && metadata === null && at === null) {
    return MESSAGE_BYTES + lengthOf(entityId) + lengthOf(pattern);
  }
  let size = measured.get(message);
  if (size === undefined) {
    size =
      MESSAGE_BYTES +
      lengthOf(entityId) +
      lengthOf(pattern) +
      sizeOfJson([entityIds, metadata]) +
      (at === null ? 0 : sizeOfJson(at));
    measured.set(message, size);
  }
  return size;
}

function lengthOf(text: string | null): number {
  return text === null ? 0 : text.length;
}

/** Metadata came as JSON, or can be sent as JSON: it has no cycles and is not deep. */
function sizeOfJson(value: unknown): number {
  if (typeof value === 'string') return VALUE_BYTES + value.length;
  if (typeof value !== 'object' || value === null) return VALUE_BYTES;
  let size = VALUE_BYTES;
  if (Array.isArray(value)) {
    for (const item of value) size += sizeOfJson(item);
    return size;
  }
  for (const [key, item] of Object.entries(value)) {
    size += key.length + sizeOfJson(item);
  }
  return size;
}
