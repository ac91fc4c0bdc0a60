import { randomUUID } from 'node:crypto';
import { BLANK_MESSAGE } from './blank-message.js';
import type { CommitPosition } from './commit-position.js';
import type {
  InvalidationMessage,
  WidenedCause,
} from './invalidation-message.js';
import { patternOf, type Invalidation } from './invalidation.js';
import { formatTimestamp, wallClock } from './timestamp.js';

/**
 * One running application, whose origin signs its messages.
 *
 * @internal
 */
export class Instance {
  /** Random, since other instances have the same service name. */
  readonly origin = randomUUID();

  /** @param region the region of its messages; `null` without regions */
  constructor(
    readonly serviceName: string,
    readonly region: string | null = null,
  ) {}

  /**
   * Makes a message of an invalidation.
   *
   * @param now milliseconds since the epoch
   * @param at the commit of the change; `null` if it is not known
   */
  stamp(
    invalidation: Invalidation,
    now = wallClock(),
    at: CommitPosition | null = null,
  ): InvalidationMessage {
    return {
      ...BLANK_MESSAGE,
      messageId: randomUUID(),
      action: invalidation.action,
      entityType: invalidation.entityType,
      entityId: invalidation.entityId,
      pattern: invalidation.pattern,
      entityIds: invalidation.entityIds,
      timestamp: formatTimestamp(now),
      sourceService: this.serviceName,
      metadata: invalidation.metadata,
      origin: this.origin,
      at,
      region: this.region,
      own: true,
    } as InvalidationMessage;
  }

  /** Makes a message for "everything", or for a pattern, for this instance alone. */
  widened(cause: WidenedCause, pattern = '*'): InvalidationMessage {
    return { ...this.stamp(patternOf(pattern)), widened: cause };
  }
}
