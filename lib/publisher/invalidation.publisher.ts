import { Injectable } from '@nestjs/common';
import {
  batch,
  checkCustomType,
  checkInvalidation,
  checkPosition,
  entity,
  everything,
  pattern,
  type CommitPosition,
  type EntityId,
  type EntityType,
  type Invalidation,
  type InvalidationContent,
} from '../message/index.js';
import type { StoredInvalidation } from './durable-outbox.js';
import { MessageEncoder } from './message-encoder.js';
import { OutboxRelay } from './outbox-relay.js';
import { PublishPipeline } from './publish-pipeline.js';
import { PublishQueue } from './publish-queue.js';
import type { PublishReceipt } from './publish-receipt.js';

/** Options of one publish. @publicApi */
export interface PublishContent extends Omit<InvalidationContent, 'action'> {
  /**
   * A position of the database's log at or after the end of the commit, for caches that
   * load from a replica; `postgresPosition()` asks for one. An `InvalidationScope` leaves
   * it out: its commit comes later.
   *
   * @default unknown; such caches ask their own primary
   */
  readonly at?: CommitPosition;
}

/**
 * Tells every instance which entries to drop.
 *
 * Every method resolves to a receipt, after this instance's own consumers have
 * received the message. They reject for wrong input, never because Redis is down:
 * then the receipt says `queued`, and the message is sent when Redis is back. With
 * `role: 'subscriber'` they reject with an InvalidationConfigurationError.
 * In an `InvalidationScope` it says `deferred`, and nothing is published before the
 * scope has ended.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationPublisher {
  /** @internal */
  constructor(
    private readonly pipeline: PublishPipeline,
    private readonly encoder: MessageEncoder,
    private readonly relay: OutboxRelay,
    private readonly queue: PublishQueue,
  ) {}

  /** How many messages Redis has not taken yet. */
  get pending(): number {
    return this.queue.pending;
  }

  /** How many messages wait for Redis, which has not taken them at once. */
  get outboxSize(): number {
    return this.queue.waiting;
  }

  /** An entity is gone, or must be read anew. */
  invalidate(
    type: EntityType,
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() => entity(type, id, content), content);
  }

  /** An entity changed; caches may refresh it instead of evicting it. */
  update(
    type: EntityType,
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(
      () => entity(type, id, { ...content, action: 'Update' }),
      content,
    );
  }

  /** `invalidate('User', id)`. */
  invalidateUser(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('User', id, content);
  }

  /** `invalidate('Post', id)`. */
  invalidatePost(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Post', id, content);
  }

  /** `invalidate('Comment', id)`. */
  invalidateComment(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Comment', id, content);
  }

  /** `invalidate('Notification', id)`. */
  invalidateNotification(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Notification', id, content);
  }

  /** `invalidate('Feed', id)`. */
  invalidateFeed(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Feed', id, content);
  }

  /** An entity of a type of your own, such as `session`. */
  invalidateCustom(
    type: EntityType,
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(
      () => entity(checkCustomType(type), id, content),
      content,
    );
  }

  /**
   * Several cache keys (`user:1`; `buildCacheKey` makes them) in as few messages
   * as they fit in. No keys, no message.
   */
  invalidateBatch(
    keys: readonly string[],
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() => batch(keys, content?.metadata), content);
  }

  /** All keys that a Redis glob matches, such as `feed:42:*`. */
  invalidatePattern(
    glob: string,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() => pattern(glob, content?.metadata), content);
  }

  /** Every entry of every cache of every service on the channel. */
  invalidateAll(content?: PublishContent): Promise<PublishReceipt> {
    return this.#publish(() => everything(content?.metadata), content);
  }

  /**
   * Publishes an invalidation that `entity()`, `batch()`, `pattern()` or
   * `everything()` made, or a message that came from elsewhere, which leaves as this
   * instance's own.
   */
  publish(
    invalidation: Invalidation,
    content?: Pick<PublishContent, 'at'>,
  ): Promise<PublishReceipt> {
    return this.#publish(() => checkInvalidation(invalidation), content);
  }

  /**
   * Makes a row for the durable outbox, to be written in the transaction that
   * changes the data; nothing is sent yet.
   *
   * @throws InvalidationSerializationError if it does not fit in one message, and
   * InvalidationConfigurationError with `role: 'subscriber'`
   */
  prepare(invalidation: Invalidation): StoredInvalidation {
    this.pipeline.refuseSubscriber();
    const { message, payload } = this.encoder.encodeAlone(
      checkInvalidation(invalidation),
    );
    return { messageId: message.messageId, text: payload };
  }

  /**
   * Publishes, after the commit, what the transaction has written into the
   * durable outbox; once Redis has it, and what follows from it by the rules of
   * the option `cascade`, it is removed there. An `InvalidationScope` does not
   * hold it back, so call it outside of the one around that transaction; what
   * else is published within needs no row, unless it must survive a process that
   * is killed after the commit.
   */
  publishStored(
    stored: StoredInvalidation,
    content?: Pick<PublishContent, 'at'>,
  ): Promise<PublishReceipt> {
    return rejecting(() => this.relay.publish(stored, positionOf(content)));
  }

  #publish(
    make: () => Invalidation,
    content: Pick<PublishContent, 'at'> | undefined,
  ): Promise<PublishReceipt> {
    return rejecting(() =>
      this.pipeline.publish(make, { wait: true }, positionOf(content)),
    );
  }
}

function positionOf(
  content: Pick<PublishContent, 'at'> | undefined,
): CommitPosition | null {
  return content?.at === undefined ? null : checkPosition(content.at);
}

/** Without an async function, which would cost each publish a promise more. */
function rejecting(
  publish: () => Promise<PublishReceipt>,
): Promise<PublishReceipt> {
  try {
    return publish();
  } catch (error) {
    return Promise.reject(error);
  }
}
