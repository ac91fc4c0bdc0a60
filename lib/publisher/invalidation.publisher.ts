import { Injectable } from '@nestjs/common';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import {
  batch,
  checkCustomType,
  checkInvalidation,
  decodeMessage,
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
  DEFERRED,
  mergeReceipts,
  NOTHING_PUBLISHED,
  type PublishReceipt,
} from './publish-receipt.js';
import {
  InvalidationScope,
  type DeferringPublisher,
} from './invalidation.scope.js';
import { OffsetScope } from './offset.scope.js';
import { Outbox } from './outbox.js';
import type { DurableOutbox, StoredInvalidation } from './durable.outbox.js';
import { OutboxRelay } from './outbox.relay.js';
import { BegunWork } from './begun-work.js';
import { MessageEncoder, type EncoderOptions } from './message.encoder.js';
import type { EncodedMessage } from './split-batch.js';

/** @internal */
export interface PublisherOptions extends PublishQueueOptions, EncoderOptions {
  readonly enabled: boolean;
  /** How long to go on sending at shutdown, in milliseconds. */
  readonly shutdownTimeout: number;
  readonly durableOutbox?: DurableOutbox | undefined;
}

/** Options of one publish. @publicApi */
export type PublishContent = Omit<InvalidationContent, 'action'>;

/**
 * Tells every instance which entries to drop.
 *
 * Every method resolves to a receipt, after this instance's own consumers have
 * been told. They reject for input that is wrong, never because Redis is down:
 * then the receipt says `queued`, and the message is sent when Redis is back.
 * In an `InvalidationScope` it says `deferred`, and nobody is told before the
 * scope has ended.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationPublisher implements DeferringPublisher {
  readonly #queue: PublishQueue;
  readonly #relay: OutboxRelay | null;
  readonly #encoder: MessageEncoder;
  #stopped = false;

  /** Decorated calls under way. @internal */
  readonly work = new BegunWork();

  /** How far the journal has come by what one request published. @internal */
  readonly offsets = new OffsetScope();

  /** @internal */
  constructor(
    private readonly options: PublisherOptions,
    private readonly context: PublishQueueContext,
  ) {
    const { durableOutbox } = options;
    this.#encoder = new MessageEncoder(options, context);
    this.#relay =
      durableOutbox === undefined
        ? null
        : new OutboxRelay(
            durableOutbox,
            (messages) => this.#resend(messages),
            // It rejects only when the application has shut down.
            () => void this.publishEverything().catch(() => null),
            context.errors,
          );
    this.#queue = new PublishQueue(options, context, this.#relay);
  }

  /** How many messages Redis has not taken yet. */
  get pending(): number {
    return this.#queue.pending;
  }

  /** How many messages wait for Redis, which has not taken them at once. */
  get outboxSize(): number {
    return this.#queue.waiting;
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
   * Publishes an invalidation that `entity()`, `batch()`, `pattern()` or
   * `everything()` made, or a message that came from elsewhere, which leaves as this
   * instance's own.
   */
  publish(invalidation: Invalidation): Promise<PublishReceipt> {
    return this.#publish(() => checkInvalidation(invalidation));
  }

  /**
   * Makes what is to be written into the durable outbox, in the transaction that
   * changes the data; nothing is sent yet.
   *
   * @throws InvalidationSerializationError if it does not fit in one message.
   */
  prepare(invalidation: Invalidation): StoredInvalidation {
    const { message, payload } = this.#encoder.encodeAlone(
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
  publishStored(stored: StoredInvalidation): Promise<PublishReceipt> {
    if (!this.options.enabled) return Promise.resolve(NOTHING_PUBLISHED);
    try {
      this.#checkRunning();
      const message = this.#revive(
        decodeMessage(
          // As plain JavaScript may call it.
          (stored as Partial<StoredInvalidation> | null)?.text as string,
          this.options.maxMessageBytes,
        ),
      );
      const now = wallClock();
      const following = this.#encoder.following(message, now);
      this.#relay?.expect(message.messageId, following.map(idOf));
      return this.#pushAll([this.#encoder.sign(message), ...following], now);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Publishes an invalidation that needs no check. @internal */
  publishChecked(invalidation: Invalidation): Promise<PublishReceipt> {
    return this.#publish(() => invalidation);
  }

  /**
   * In the place of what was lost, by whichever request: no scope holds it back.
   *
   * @internal
   */
  publishEverything(): Promise<PublishReceipt> {
    return InvalidationScope.outside(() => this.invalidateAll());
  }

  /**
   * For callers that cannot wait: this instance's consumers have been told when
   * it returns, Redis is told afterwards.
   *
   * @throws as `publish` rejects
   * @internal
   */
  publishAtOnce(invalidation: Invalidation): void {
    this.#checkRunning();
    const now = wallClock();
    const parts = this.#encoder.encode(invalidation, now);
    if (!this.#deferred(parts)) this.#pushAtOnce(parts, now);
  }

  /** @internal */
  newHold(): Outbox {
    const { outboxLimit, queueByteLimit } = this.options;
    return new Outbox(
      { messages: outboxLimit, bytes: queueByteLimit },
      (invalidation) => this.context.instance.stamp(invalidation),
    );
  }

  /** @internal */
  holdCollapsed(): void {
    this.context.meter.widened('scope-overflow');
  }

  /** @internal */
  publishHeld(messages: readonly InvalidationMessage[]): Promise<unknown> {
    const now = wallClock();
    return Promise.all(
      this.#stampAnew(messages, now).map((part) => this.#push(part, now)),
    );
  }

  /** @internal */
  publishHeldAtOnce(messages: readonly InvalidationMessage[]): void {
    const now = wallClock();
    this.#pushAtOnce(this.#stampAnew(messages, now), now);
  }

  /** Redis is there: send what waits. @internal */
  resume(): void {
    this.#queue.resume();
    this.relay();
  }

  /** Sends what others left in the durable outbox. @internal */
  relay(): void {
    if (this.context.transport.writable) void this.#relay?.sweep();
  }

  /** Whether an own message of this id can still come back. @internal */
  isUnderWay(messageId: string): boolean {
    return this.#queue.isUnderWay(messageId);
  }

  /**
   * A message came back over the channel, or from the journal.
   *
   * @returns whether it was an own message under way
   * @internal
   */
  heard(messageId: string): boolean {
    return this.#queue.heard(messageId);
  }

  /** Journal offset of the last message that Redis has taken. @internal */
  get lastOffset(): string | null {
    return this.#queue.lastOffset;
  }

  /** @internal */
  get mark(): number {
    return this.#queue.mark;
  }

  /** @internal */
  hasTaken(mark: number): boolean {
    return this.#queue.hasTaken(mark);
  }

  /** Resolves once nothing is pending. @internal */
  whenIdle(): Promise<void> {
    return this.#queue.whenIdle();
  }

  /**
   * Waits for begun work, sends what waits, all within `shutdownTimeout`; takes
   * nothing more.
   *
   * @internal
   */
  async stop(): Promise<void> {
    const { shutdownTimeout, publishTimeout, enabled } = this.options;
    const since = performance.now();
    // A shutdown from within a scope cannot wait for that one.
    const own = InvalidationScope.depth;
    if (enabled) {
      // Some of the time is for what the work publishes last.
      const share = Math.min(publishTimeout, shutdownTimeout / 2);
      await within(shutdownTimeout - share, this.#workDone(own));
      this.#tellEarly();
    }
    const left = shutdownTimeout - (performance.now() - since);
    await within(Math.max(0, left), this.#queue.whenIdle());
    this.#stopped = true;
    this.#queue.close();
    this.#reportLost(InvalidationScope.open.work.count - own);
  }

  async #workDone(ownScopes: number): Promise<void> {
    await this.work.whenDone();
    await InvalidationScope.open.work.whenDone(ownScopes);
  }

  /** A transaction may commit after the shutdown: nobody could be told then. */
  #tellEarly(): void {
    for (const scope of InvalidationScope.open.holding) scope.tellEarly();
  }

  #reportLost(scopes: number): void {
    const { shutdownTimeout } = this.options;
    if (this.options.enabled && this.work.count + scopes > 0) {
      const subjects = this.work.subjects().join(', ');
      const begun = [
        countOf(this.work.count, 'decorated call', ` (${subjects})`),
        countOf(scopes, 'scope'),
      ].filter((count) => count !== '');
      this.context.errors.report(
        new InvalidationTimeoutError(
          `At the end of the shutdown (${shutdownTimeout} ms) there was still work under way: ${begun.join(', ')}. What it changes from now on is lost to other instances.`,
          'Those keep their stale entries until TTL; end such work before, or raise shutdownTimeout.',
          shutdownTimeout,
        ),
        'shutdown-work',
      );
    }
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
      this.#checkRunning();
      const now = wallClock();
      const parts = this.#encoder.encode(make(), now);
      if (this.#deferred(parts)) return Promise.resolve(DEFERRED);
      return this.#pushAll(parts, now);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #pushAll(
    parts: readonly EncodedMessage[],
    now: number,
  ): Promise<PublishReceipt> {
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) return this.#push(only, now);
    const own = parts.filter(({ cascaded }) => cascaded !== true).length;
    return Promise.all(parts.map((part) => this.#push(part, now))).then(
      (receipts) => mergeReceipts(receipts, own),
    );
  }

  #push(part: EncodedMessage, now: number): Promise<PublishReceipt> {
    return new Promise((resolve) =>
      this.#queue.push(part, now, this.offsets.noting(ending(part, resolve))),
    );
  }

  #pushAtOnce(parts: readonly EncodedMessage[], now: number): void {
    for (const part of parts) {
      this.context.stream.deliver(part.message);
      this.#queue.push(part, now, null);
      part.span?.end('pending');
    }
  }

  /** @returns whether a scope holds them back */
  #deferred(parts: readonly EncodedMessage[]): boolean {
    const scope = InvalidationScope.current;
    if (scope === null || parts.length === 0) return false;
    scope.hold(
      this,
      parts.map(({ message }) => message),
    );
    return true;
  }

  /** Said now, after the commit, and not when it was held back. */
  #stampAnew(
    messages: readonly InvalidationMessage[],
    now: number,
  ): EncodedMessage[] {
    try {
      this.#checkRunning();
    } catch (error) {
      this.context.errors.report(error as InvalidationRedisError);
      return [];
    }
    return messages.map((held) =>
      this.#encoder.sign(this.context.instance.stamp(held, now)),
    );
  }

  #resend(messages: readonly InvalidationMessage[]): boolean {
    const own = messages.map((message) => this.#revive(message));
    if (!this.#queue.resend(own)) return false;
    const now = wallClock();
    for (const message of own) {
      this.context.stream.deliver(message);
      const following = this.#encoder.following(message, now);
      this.#relay?.expect(message.messageId, following.map(idOf));
      this.#pushAtOnce(following, now);
    }
    return true;
  }

  /** An own message of what was stored, by whichever instance. */
  #revive(message: InvalidationMessage): InvalidationMessage {
    return { ...message, origin: this.context.instance.origin, own: true };
  }

  #checkRunning(): void {
    if (!this.#stopped) return;
    throw new InvalidationRedisError(
      'The application has shut down; this invalidation cannot be sent.',
      'Publish before onApplicationShutdown, for example in onModuleDestroy.',
    );
  }
}

function countOf(count: number, noun: string, more = ''): string {
  if (count === 0) return '';
  return `${count} ${noun}${count === 1 ? '' : 's'}${more}`;
}

/** Waits for it, but not for longer. */
async function within(ms: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([done, late]);
  clearTimeout(timer);
}

function ending(
  { span }: EncodedMessage,
  resolve: (receipt: PublishReceipt) => void,
): (receipt: PublishReceipt) => void {
  if (span === undefined) return resolve;
  return (receipt) => {
    span.end(receipt.status);
    resolve(receipt);
  };
}

function idOf({ message }: EncodedMessage): string {
  return message.messageId;
}
