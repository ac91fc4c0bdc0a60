import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { mayPublish, type RoleOptions } from '../common/index.js';
import { InvalidationRedisError } from '../errors/index.js';
import {
  everything,
  Instance,
  wallClock,
  type CommitPosition,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';
import {
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
} from '../stream/index.js';
import { Coalescer } from './coalescer.js';
import type { DeferringPublisher } from './held-invalidations.js';
import { MessageEncoder } from './message-encoder.js';
import { OffsetScope } from './offset-scope.js';
import { Outbox } from './outbox.js';
import { PublishQueue } from './publish-queue.js';
import {
  DEFERRED,
  mergeReceipts,
  NOTHING_PUBLISHED,
  QUEUED,
  type PublishReceipt,
} from './publish-receipt.js';
import type { EncodedMessage } from './split-batch.js';
import { currentScope, outsideScopes } from './scope-context.js';
import { unpublished } from './unpublished.js';

/** @internal */
export interface PublishMode {
  /**
   * Whether the caller waits for Redis. If not, this instance's consumers have the
   * messages when the call returns, and Redis is given them afterwards.
   */
  readonly wait: boolean;
}

/** @internal */
export interface PipelineOptions extends RoleOptions {
  readonly enabled: boolean;
  readonly outboxLimit: number;
  readonly queueByteLimit: number;
}

/**
 * The way of every invalidation from a call to the queue: encoded with what
 * cascades from it, held back by the scope that is open, or enqueued.
 *
 * @internal
 */
@Injectable()
export class PublishPipeline implements DeferringPublisher {
  #closed = false;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: PipelineOptions,
    private readonly instance: Instance,
    private readonly encoder: MessageEncoder,
    private readonly coalescer: Coalescer,
    private readonly queue: PublishQueue,
    private readonly offsets: OffsetScope,
    private readonly stream: InvalidationStream,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {}

  /**
   * Publishes an invalidation, unless a scope holds it back. The promise never
   * rejects.
   *
   * @param make the invalidation; not called where the module is switched off
   * @param at the commit of the change; `null` if it is not known. A scope leaves it out,
   * since its own commit comes later
   * @throws InvalidationSerializationError for what cannot be encoded,
   * InvalidationRedisError after the shutdown, InvalidationConfigurationError in a
   * subscriber, and what `make` throws
   */
  publish(
    make: () => Invalidation,
    mode: PublishMode,
    at: CommitPosition | null = null,
  ): Promise<PublishReceipt> {
    if (!this.options.enabled) return Promise.resolve(NOTHING_PUBLISHED);
    this.#checkOpen();
    const now = wallClock();
    const invalidation = make();
    const scope = currentScope();
    if (scope === null && !this.encoder.cascades) {
      const joined = this.coalescer.join(invalidation, at, now, mode.wait);
      if (joined !== null) return joined;
    }
    const parts = this.encoder.encode(invalidation, now, scope ? null : at);
    if (scope === null || parts.length === 0) {
      return merged(parts, (part) => this.#join(part, now, mode));
    }
    scope.hold(
      this,
      parts.map(({ message }) => message),
    );
    return Promise.resolve(DEFERRED);
  }

  /** Publishes messages that `encode` makes, which no scope holds back. Throws as `publish` does. */
  send(
    encode: (now: number) => readonly EncodedMessage[],
    mode: PublishMode,
  ): Promise<PublishReceipt> {
    if (!this.options.enabled) return Promise.resolve(NOTHING_PUBLISHED);
    this.#checkOpen();
    const now = wallClock();
    // Traced at once, unlike what a scope holds back.
    const parts = outsideScopes(() => encode(now));
    return this.enqueue(parts, now, mode);
  }

  /** Covers what was lost, by whichever request: no scope holds it back. */
  async publishEverything(): Promise<PublishReceipt> {
    return outsideScopes(() => this.publish(everything, { wait: true }));
  }

  newHold(): Outbox {
    const { outboxLimit, queueByteLimit } = this.options;
    return new Outbox(
      { messages: outboxLimit, bytes: queueByteLimit },
      (invalidation, at) => this.instance.stamp(invalidation, undefined, at),
    );
  }

  holdCollapsed(): void {
    this.meter.widened('scope-overflow');
  }

  publishHeld(
    messages: readonly InvalidationMessage[],
    mode: PublishMode,
    at: CommitPosition | null = null,
  ): Promise<unknown> {
    try {
      this.#checkOpen();
    } catch (error) {
      this.errors.report(error as InvalidationRedisError);
      return Promise.resolve();
    }
    const now = wallClock();
    // As of now, after the commit, and not as of when they were held back.
    return Promise.all(
      messages.map(
        (held) =>
          this.coalescer.join(held, at, now, mode.wait) ??
          this.#enqueue(
            this.encoder.encodeStamped(this.instance.stamp(held, now, at)),
            now,
            mode,
          ),
      ),
    );
  }

  enqueue(
    parts: readonly EncodedMessage[],
    now: number,
    mode: PublishMode,
  ): Promise<PublishReceipt> {
    return merged(parts, (part) => this.#enqueue(part, now, mode));
  }

  /** @throws InvalidationConfigurationError in an application that only receives */
  refuseSubscriber(): void {
    if (!mayPublish(this.options)) throw unpublished();
  }

  /** Takes nothing more. */
  close(): void {
    this.#closed = true;
  }

  /** A message whose span has begun leaves by itself. */
  #join(
    part: EncodedMessage,
    now: number,
    mode: PublishMode,
  ): Promise<PublishReceipt> {
    return (
      (part.span === undefined
        ? this.coalescer.join(part.message, part.message.at, now, mode.wait)
        : null) ?? this.#enqueue(part, now, mode)
    );
  }

  #enqueue(
    part: EncodedMessage,
    now: number,
    { wait }: PublishMode,
  ): Promise<PublishReceipt> {
    this.coalescer.close();
    if (wait) {
      return new Promise((resolve) =>
        this.queue.push(
          part,
          now,
          this.offsets.recording(ending(part, resolve), part.message.at),
        ),
      );
    }
    this.stream.deliver(part.message);
    this.queue.push(part, now, null);
    part.span?.end('pending');
    return Promise.resolve(QUEUED);
  }

  #checkOpen(): void {
    this.refuseSubscriber();
    if (!this.#closed) return;
    throw new InvalidationRedisError(
      'The application has shut down; this invalidation cannot be sent.',
      'Publish before onApplicationShutdown, for example in onModuleDestroy.',
    );
  }
}

/** One receipt for all parts, those of a cascade included. */
function merged(
  parts: readonly EncodedMessage[],
  publish: (part: EncodedMessage) => Promise<PublishReceipt>,
): Promise<PublishReceipt> {
  if (parts.length === 1) return publish(parts[0]!);
  const own = parts.filter(({ cascaded }) => cascaded !== true).length;
  return Promise.all(parts.map(publish)).then((receipts) =>
    mergeReceipts(receipts, own),
  );
}

/** Gives the caller its receipt once the message's span has ended. */
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
