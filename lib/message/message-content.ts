import type { Invalidation } from './invalidation.js';
import type { InvalidationMessage } from './invalidation-message.js';

/** The content of a message as text, equal for messages that invalidate the same. @internal */
export function contentOf(message: Invalidation): string {
  const { action, entityType, entityId, pattern, entityIds, metadata } =
    message;
  return JSON.stringify([
    action,
    entityType,
    entityId,
    pattern,
    entityIds,
    metadata,
  ]);
}

/**
 * Whether two messages are one message received twice. Their offsets prove nothing:
 * any publisher may claim the place of another message.
 *
 * @internal
 */
export function isSameMessage(
  one: InvalidationMessage,
  other: InvalidationMessage,
): boolean {
  return (
    one.messageId === other.messageId && contentOf(one) === contentOf(other)
  );
}
