import { randomUUID } from 'node:crypto';
import type {
  InvalidationMessage,
  WidenedCause,
} from './invalidation-message.js';
import { patternOf, type Invalidation } from './invalidation.js';
import { formatTimestamp, wallClock } from './timestamp.js';

/**
 * One running application: who signs what it publishes.
 *
 * @internal
 */
export class Instance {
  /** Random; tells this instance's messages from those of its siblings. */
  readonly origin = randomUUID();

  constructor(readonly serviceName: string) {}

  /** @param now milliseconds since the epoch */
  stamp(invalidation: Invalidation, now = wallClock()): InvalidationMessage {
    // Written out: spreading costs four times as much.
    return {
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
      offset: null,
      previous: null,
      trace: null,
      own: true,
      widened: null,
    } as InvalidationMessage;
  }

  /** "Everything", said by this instance to itself alone. */
  widened(cause: WidenedCause): InvalidationMessage {
    return { ...this.stamp(patternOf('*')), widened: cause };
  }
}
