import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { mayPublish, type RoleOptions } from '../common/index.js';
import type { CacheInvalidationError } from '../errors/index.js';
import {
  contentOf,
  encodeMessage,
  wallClock,
  type CommitPosition,
  type Invalidation,
} from '../message/index.js';
import { ErrorReporter } from '../stream/index.js';
import { InvalidationTransport, type RelayRecord } from '../transport/index.js';
import { MessageEncoder } from './message-encoder.js';
import { collapse } from './outbox.js';
import type { EncodedMessage } from './split-batch.js';

/** @internal */
export interface SourceOutletOptions extends RoleOptions {
  readonly enabled: boolean;
  readonly journal: unknown;
}

/**
 * The way of a source's invalidations into the journal: a source is something other than
 * a call in this application that tells what changed. Its messages count as those of
 * another instance, so that this one's own handlers receive them, too.
 *
 * @internal
 */
@Injectable()
export class SourceOutlet {
  /** The origin of the source's messages in this process. */
  readonly #origin = randomUUID();

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: SourceOutletOptions,
    private readonly transport: InvalidationTransport,
    private readonly encoder: MessageEncoder,
    private readonly errors: ErrorReporter,
  ) {}

  /** Whether this application publishes at all. */
  get isEnabled(): boolean {
    return this.options.enabled && mayPublish(this.options);
  }

  /** Whether the channel has a journal, which keeps the record. */
  get isJournaled(): boolean {
    return this.options.journal !== false;
  }

  /** Whether Redis takes messages now, as far as is known. */
  get writable(): boolean {
    return this.transport.writable;
  }

  /** The record of a source beside the journal, which moves in one step with its messages. */
  record(source: string): RelayRecord {
    return this.transport.relayRecord(source, randomUUID());
  }

  /**
   * Encodes invalidations, with those that cascade from them, as payloads. Never throws:
   * an invalidation too large for a message becomes its entity types.
   *
   * @param at the commit of the changes; `null` if it is not known
   * @param idOf the id of the message with a number and a content; `null` for random ids
   */
  encode(
    invalidations: readonly Invalidation[],
    at: CommitPosition | null,
    idOf: ((index: number, content: string) => string) | null,
  ): string[] {
    const now = wallClock();
    const origin = this.#origin;
    return invalidations
      .flatMap((invalidation) => this.#encode(invalidation, now, at))
      .map(({ message, span }, index) => {
        span?.end('pending');
        const messageId =
          idOf === null ? message.messageId : idOf(index, contentOf(message));
        return encodeMessage({ ...message, messageId, origin }, Infinity);
      });
  }

  /** The offset of the journal's last entry. Rejects if Redis does not answer. */
  journalTail(): Promise<string> {
    return this.transport.journalTail();
  }

  /**
   * Publishes payloads in order, those left out that the journal has by their ids.
   *
   * @param triedSince offset from which the journal is searched
   * @throws what Redis answers; some payloads may be in the journal then
   */
  async publish(
    payloads: readonly string[],
    triedSince: string,
  ): Promise<void> {
    const replies = await this.transport.publish(payloads, triedSince);
    const failed = replies.find((reply) => reply instanceof Error);
    if (failed !== undefined) throw failed;
  }

  report(error: CacheInvalidationError, source: string): void {
    this.errors.report(error, source);
  }

  log(level: 'log' | 'warn', text: string, source: string): void {
    this.errors.log(level, text, source);
  }

  #encode(
    invalidation: Invalidation,
    now: number,
    at: CommitPosition | null,
  ): readonly EncodedMessage[] {
    try {
      return this.encoder.encode(invalidation, now, at);
    } catch {
      return collapse([invalidation]).flatMap((coarse) =>
        this.encoder.encode(coarse, now, at),
      );
    }
  }
}
