import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { Deadlines } from '../common/index.js';
import { CallbackFailedError } from '../errors/index.js';
import {
  decodeMessage,
  Instance,
  wallClock,
  type CommitPosition,
  type InvalidationMessage,
} from '../message/index.js';
import { ErrorReporter, InvalidationStream } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import type { DurableOutbox, StoredInvalidation } from './durable-outbox.js';
import { MessageEncoder } from './message-encoder.js';
import { PublishPipeline } from './publish-pipeline.js';
import { PublishQueue } from './publish-queue.js';
import type { PublishReceipt } from './publish-receipt.js';
import type { EncodedMessage } from './split-batch.js';
import { StoredRows } from './stored-rows.js';
import { StoredTexts } from './stored-texts.js';

/** Rows read at one time. */
const PAGE = 1_000;
/** How long the application's database may take to answer, in milliseconds. */
const ANSWER_MS = 30_000;
/** How long the instance that stored a row may take to send it, in milliseconds. */
const GRACE_MS = 5_000;

/** @internal */
export interface RelayOptions {
  readonly enabled: boolean;
  readonly maxMessageBytes: number;
  readonly durableOutbox?: DurableOutbox | undefined;
}

/**
 * Publishes rows of the durable outbox: those that the application hands over
 * after its commit, and those that some instance has left behind.
 *
 * @internal
 */
@Injectable()
export class OutboxRelay {
  readonly #deadlines = new Deadlines();
  #sweeping = false;
  #closed = false;
  readonly #texts: StoredTexts;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) private readonly options: RelayOptions,
    private readonly instance: Instance,
    private readonly transport: InvalidationTransport,
    private readonly encoder: MessageEncoder,
    private readonly queue: PublishQueue,
    private readonly pipeline: PublishPipeline,
    private readonly rows: StoredRows,
    private readonly stream: InvalidationStream,
    private readonly errors: ErrorReporter,
  ) {
    this.#texts = new StoredTexts(errors);
  }

  /**
   * Publishes a row after its commit. No scope holds it back.
   *
   * @param at the commit; `null` if it is not known
   * @throws InvalidMessageError for what `prepare()` has not made
   */
  publish(
    stored: StoredInvalidation,
    at: CommitPosition | null,
  ): Promise<PublishReceipt> {
    return this.pipeline.send(
      (now) => {
        const decoded = decodeMessage(
          // Untyped callers may pass anything.
          (stored as Partial<StoredInvalidation> | null)?.text as string,
          this.options.maxMessageBytes,
        );
        const message = { ...this.#own(decoded), at: at ?? decoded.at };
        return [
          this.encoder.encodeStamped(message),
          ...this.#follow(message, now),
        ];
      },
      { wait: true },
    );
  }

  /**
   * Publishes the rows that were left behind, one page at a time, and never two
   * pages at once.
   */
  async sweep(): Promise<void> {
    const { durableOutbox } = this.options;
    if (durableOutbox === undefined || this.#sweeping) return;
    if (!this.transport.writable) return;
    this.#sweeping = true;
    // A row may be sent by its own instance while the table is read.
    const underWay = new Set(this.rows.underWay.keys());
    try {
      const { messages, isNewUnreadable } = this.#texts.read(
        await this.#pending(durableOutbox),
      );
      const found = messages.filter(
        ({ messageId: id }) => !underWay.has(id) && !this.rows.underWay.has(id),
      );
      if (isNewUnreadable) this.#widen();
      const staying = found.filter((message) => this.#isStaying(message));
      if (staying.length > 0) {
        void this.rows.remove(staying.map(({ messageId }) => messageId));
      }
      this.#resend(found.filter((message) => !this.#isStaying(message)));
    } catch (cause) {
      if (this.#closed) return;
      this.errors.report(
        new CallbackFailedError(
          'The durable outbox',
          'could not be read',
          'It is tried again with the next heartbeat; nothing is lost.',
          cause,
        ),
        'durable-outbox',
      );
    } finally {
      this.#sweeping = false;
    }
  }

  /** Ends a sweep that waits for the application's database. */
  close(): void {
    this.#closed = true;
    this.#deadlines.cancel(new Error('The application shuts down.'));
  }

  #isStaying({ messageId }: InvalidationMessage): boolean {
    return this.rows.staying.has(messageId);
  }

  /** A page beyond the rows that are known to stay, within a deadline. */
  #pending(outbox: DurableOutbox): Promise<readonly string[]> {
    const limit = PAGE + this.rows.staying.size + this.#texts.unreadable;
    return this.#deadlines.within(
      ANSWER_MS,
      outbox.pending({ limit, olderThan: GRACE_MS }),
      () => new Error(`It has not answered for ${ANSWER_MS} ms.`),
    );
  }

  #widen(): void {
    // Rejects only when the application has shut down.
    void this.pipeline.publishEverything().catch(() => null);
  }

  /** Sends messages unless the journal has them, and delivers them here. */
  #resend(messages: readonly InvalidationMessage[]): void {
    if (messages.length === 0) return;
    const own = messages.map((message) => this.#own(message));
    if (!this.queue.resend(own)) return;
    const now = wallClock();
    for (const message of own) {
      this.stream.deliver(message);
      void this.pipeline.enqueue(this.#follow(message, now), now, {
        wait: false,
      });
    }
  }

  /** The messages that follow from a row's, which stays until Redis has all of them. */
  #follow(
    message: InvalidationMessage,
    now: number,
  ): readonly EncodedMessage[] {
    const following = this.encoder.following(message, now, message.at);
    this.rows.expect(
      message.messageId,
      following.map((each) => each.message.messageId),
    );
    return following;
  }

  /** A stored message as this instance's own, whichever instance has stored it. */
  #own(message: InvalidationMessage): InvalidationMessage {
    return { ...message, origin: this.instance.origin, own: true };
  }
}
