import { Injectable } from '@nestjs/common';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import {
  batch,
  checkCustomType,
  checkInvalidation,
  encodeMessage,
  entity,
  everything,
  pattern,
  wallClock,
  type EntityId,
  type EntityType,
  type Invalidation,
  type InvalidationContent,
  type InvalidationMessage,
} from '../message/index.js';
import {
  PublishQueue,
  type PublishQueueContext,
  type PublishQueueOptions,
} from './publish.queue.js';
import {
  mergeReceipts,
  NOTHING_PUBLISHED,
  type PublishReceipt,
} from './publish-receipt.js';
import { encodeInParts, type EncodedMessage } from './split-batch.js';

/** @internal */
export interface PublisherOptions extends PublishQueueOptions {
  readonly enabled: boolean;
  /** How long to go on sending at shutdown, in milliseconds. */
  readonly shutdownTimeout: number;
  /** Keys in one message. */
  readonly maxBatchSize: number;
}

/** What may accompany an invalidation. @publicApi */
export type PublishContent = Omit<InvalidationContent, 'action'>;

/**
 * Tells every instance which entries to drop.
 *
 * Every method resolves to a receipt, after this instance's own consumers have
 * been told. They reject for input that is wrong, never because Redis is down:
 * then the receipt says `queued`, and the message is sent when Redis is back.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationPublisher {
  readonly #queue: PublishQueue;
  #stopped = false;

  /** @internal */
  constructor(
    private readonly options: PublisherOptions,
    private readonly context: PublishQueueContext,
  ) {
    this.#queue = new PublishQueue(options, context);
  }

  /** How many messages Redis has not taken yet. */
  get pending(): number {
    return this.#queue.pending;
  }

  /** An entity is gone, or must be read anew. */
  invalidate(
    type: EntityType,
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() => entity(type, id, content));
  }

  /** An entity changed; whoever keeps it may refresh instead of evicting. */
  update(
    type: EntityType,
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() =>
      entity(type, id, { ...content, action: 'Update' }),
    );
  }

  invalidateUser(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('User', id, content);
  }

  invalidatePost(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Post', id, content);
  }

  invalidateComment(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Comment', id, content);
  }

  invalidateNotification(
    id: EntityId,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.invalidate('Notification', id, content);
  }

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
    return this.#publish(() => entity(checkCustomType(type), id, content));
  }

  /**
   * Several cache keys (`user:1`; `buildCacheKey` makes them) in as few messages
   * as they fit in. No keys, no message.
   */
  invalidateBatch(
    keys: readonly string[],
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() => batch(keys, content?.metadata));
  }

  /** All keys that a Redis glob matches, such as `feed:42:*`. */
  invalidatePattern(
    glob: string,
    content?: PublishContent,
  ): Promise<PublishReceipt> {
    return this.#publish(() => pattern(glob, content?.metadata));
  }

  /** Every entry of every cache of every service on the channel. */
  invalidateAll(content?: PublishContent): Promise<PublishReceipt> {
    return this.#publish(() => everything(content?.metadata));
  }

  /**
   * What `entity()`, `batch()`, `pattern()` or `everything()` made, or a message
   * that came from elsewhere; it is signed as this instance's own.
   */
  publish(invalidation: Invalidation): Promise<PublishReceipt> {
    return this.#publish(() => checkInvalidation(invalidation));
  }

  /** The same for what needs no check. @internal */
  publishChecked(invalidation: Invalidation): Promise<PublishReceipt> {
    return this.#publish(() => invalidation);
  }

  /**
   * For callers that cannot wait: this instance's consumers have been told when
   * it returns, Redis is told afterwards.
   *
   * @throws as `publish` rejects
   * @internal
   */
  publishAtOnce(invalidation: Invalidation): void {
    const now = wallClock();
    for (const part of this.#encode(invalidation, now)) {
      this.context.stream.deliver(part.message);
      this.#queue.push(part, now, null);
    }
  }

  /** Redis is there: send what waits. @internal */
  resume(): void {
    this.#queue.resume();
  }

  /** Resolves once nothing is pending. @internal */
  whenIdle(): Promise<void> {
    return this.#queue.whenIdle();
  }

  /** Sends what waits, within `shutdownTimeout`; takes nothing more. @internal */
  async stop(): Promise<void> {
    const { shutdownTimeout } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, shutdownTimeout);
    });
    await Promise.race([this.#queue.whenIdle(), timeout]);
    clearTimeout(timer);
    this.#stopped = true;
    this.#queue.close();
    if (this.pending > 0) {
      this.context.errors.report(
        new InvalidationTimeoutError(
          `${this.pending} invalidations could not be sent within ${shutdownTimeout} ms of shutdown and are lost.`,
          'Other instances keep their stale entries until TTL; raise shutdownTimeout, or mend Redis.',
          shutdownTimeout,
        ),
        'shutdown',
      );
    }
  }

  #publish(make: () => Invalidation): Promise<PublishReceipt> {
    try {
      if (!this.options.enabled) return Promise.resolve(NOTHING_PUBLISHED);
      const now = wallClock();
      const parts = this.#encode(make(), now);
      const [only] = parts;
      if (parts.length === 1 && only !== undefined)
        return this.#push(only, now);
      return Promise.all(parts.map((part) => this.#push(part, now))).then(
        mergeReceipts,
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #push(part: EncodedMessage, now: number): Promise<PublishReceipt> {
    return new Promise((resolve) => this.#queue.push(part, now, resolve));
  }

  #encode(invalidation: Invalidation, now: number): EncodedMessage[] {
    if (this.#stopped) {
      throw new InvalidationRedisError(
        'The application has shut down; this invalidation cannot be sent.',
        'Publish before onApplicationShutdown, for example in onModuleDestroy.',
      );
    }
    if (invalidation.entityIds?.length === 0) return [];
    return encodeInParts(invalidation, this.options.maxBatchSize, (part) => {
      const message = this.context.instance.stamp(part, now);
      const payload = encodeMessage(message, this.options.maxMessageBytes);
      return { message: detached(message), payload };
    });
  }
}

/** With metadata as others receive it, whatever becomes of the caller's object. */
function detached(message: InvalidationMessage): InvalidationMessage {
  return message.metadata === null
    ? message
    : { ...message, metadata: JSON.parse(JSON.stringify(message.metadata)) };
}
