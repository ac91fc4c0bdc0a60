import { hash } from 'node:crypto';
import type { InvalidationMessage } from '../message/index.js';
import { RecentOffsets } from '../stream/index.js';

/** Messages that are remembered: more than can be on their way around a circle. */
const REMEMBERED_LIMIT = 10_000;
/** Longer keys are hashed. */
const KEY_LENGTH = 256;

/**
 * Recognises messages that come back to the relay that has published them. No correct
 * set-up lets them: the source is this region by another name, or two regions have one
 * name. Then each message would go in circles for ever.
 *
 * @internal
 */
export class ReturnedMessages {
  #recent = new RecentOffsets(REMEMBERED_LIMIT);

  /** The relay begins again: what it has published may be lost. */
  forget(): void {
    this.#recent = new RecentOffsets(REMEMBERED_LIMIT);
  }

  /** @param message as the relay publishes it */
  add(message: InvalidationMessage): void {
    this.#recent.add(keyOf(message));
  }

  /** @param message as the relay would publish it */
  has(message: InvalidationMessage): boolean {
    return this.#recent.has(keyOf(message));
  }
}

/** Not the id alone: services in other languages may give one id to two messages. */
function keyOf(message: InvalidationMessage): string {
  const { messageId, timestamp, action, entityType, path } = message;
  const { entityId, pattern, entityIds } = message;
  const what = entityId ?? pattern ?? `${entityIds?.length} ${entityIds?.[0]}`;
  const key = `${messageId} ${timestamp} ${path?.join()} ${action} ${entityType} ${what}`;
  return key.length > KEY_LENGTH ? hash('sha1', key) : key;
}
