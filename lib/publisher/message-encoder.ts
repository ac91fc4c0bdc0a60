import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  batch,
  encodeMessage,
  Instance,
  type CommitPosition,
  type Invalidation,
  type InvalidationMessage,
  type TraceContext,
} from '../message/index.js';
import {
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
} from '../stream/index.js';
import { Cascade, type CascadeRules } from './cascade.js';
import { encodeInParts, type EncodedMessage } from './split-batch.js';
import { currentScope } from './scope-context.js';

/** Bytes that the journal adds to a message, with room to spare. */
const PLACE_BYTES = 256;

/** @internal */
export interface EncoderOptions {
  readonly maxMessageBytes: number;
  /** Keys in one message. */
  readonly maxBatchSize: number;
  readonly cascade?: CascadeRules | undefined;
}

/**
 * Encodes an invalidation, and those that cascade from it, as messages of this
 * instance: none too large, each traced where tracing is on.
 *
 * @internal
 */
@Injectable()
export class MessageEncoder {
  readonly #cascade: Cascade | null;
  /** In bytes, of one message. */
  readonly #limit: number;
  /** Bytes for the keys of one batch, as JSON. */
  readonly batchBytes: number;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: EncoderOptions,
    private readonly instance: Instance,
    private readonly stream: InvalidationStream,
    meter: InvalidationMeter,
    errors: ErrorReporter,
  ) {
    this.#cascade = Cascade.of(options.cascade, meter, errors);
    this.#limit = options.maxMessageBytes - PLACE_BYTES;
    const { payload } = encoded(instance.stamp(batch([])), Infinity);
    this.batchBytes = this.#limit - Buffer.byteLength(payload);
  }

  /** Whether other invalidations may follow from one. */
  get cascades(): boolean {
    return this.#cascade !== null;
  }

  /**
   * @param at the commit of the change; `null` if it is not known
   * @throws InvalidationSerializationError if its metadata is not JSON, or what
   * cannot be split is too large
   */
  encode(
    invalidation: Invalidation,
    now: number,
    at: CommitPosition | null = null,
  ): readonly EncodedMessage[] {
    if (invalidation.entityIds?.length === 0) return [];
    const parts = this.#traced(this.#encodeParts(invalidation, now, at));
    return this.#cascade === null
      ? parts
      : parts.concat(this.following(invalidation, now, at));
  }

  /** The message alone, to be sent later. Throws as `encode` does. */
  encodeAlone(invalidation: Invalidation): EncodedMessage {
    const message = this.instance.stamp(invalidation);
    return { message, payload: encodeMessage(message, this.#limit) };
  }

  /** Invalidations that the rules of the option `cascade` add. Never throws. */
  following(
    invalidation: Invalidation,
    now: number,
    at: CommitPosition | null = null,
  ): readonly EncodedMessage[] {
    if (this.#cascade === null) return [];
    const following = this.#cascade.expand<EncodedMessage>(
      invalidation,
      (one) =>
        this.#encodeParts(one, now, at).map((part) => ({
          ...part,
          cascaded: true,
        })),
    );
    return this.#traced(following);
  }

  /**
   * A message that has its id and time already. Its size was checked before, without its
   * position.
   */
  encodeStamped(message: InvalidationMessage): EncodedMessage {
    const part = this.#fitting(message, Infinity);
    return this.#isTraced ? this.#trace(part, this.#limit) : part;
  }

  #encodeParts(
    invalidation: Invalidation,
    now: number,
    at: CommitPosition | null,
  ): EncodedMessage[] {
    return encodeInParts(invalidation, this.options.maxBatchSize, (part) =>
      this.#fitting(this.instance.stamp(part, now, at), this.#limit),
    );
  }

  /** A message that would be too large with its position leaves without: readers ask. */
  #fitting(message: InvalidationMessage, maxBytes: number): EncodedMessage {
    if (message.at === null) return encoded(message, maxBytes);
    const whole = encoded(message, Infinity);
    return Buffer.byteLength(whole.payload) <= this.#limit
      ? whole
      : encoded({ ...message, at: null }, maxBytes);
  }

  /** Only when all of them fit: the span of what is not sent would never end. */
  #traced(parts: readonly EncodedMessage[]): readonly EncodedMessage[] {
    return this.#isTraced
      ? parts.map((part) => this.#trace(part, this.#limit))
      : parts;
  }

  /** Held invalidations are published, and traced, when their scope has ended. */
  get #isTraced(): boolean {
    return this.stream.tracing.active && currentScope() === null;
  }

  #trace(part: EncodedMessage, maxBytes: number): EncodedMessage {
    const { message } = part;
    const span = this.stream.tracing.publishing(message);
    return span === null
      ? part
      : { ...part, span, ...traced(message, span.trace, maxBytes) };
  }
}

/** With metadata as others receive it, whatever becomes of the caller's object. */
function encoded(
  message: InvalidationMessage,
  maxBytes: number,
): EncodedMessage {
  const payload = encodeMessage(message, maxBytes);
  return { message: detached(message), payload };
}

/** The message with its trace; `null` where it would be too large with it. */
function traced(
  untraced: InvalidationMessage,
  trace: TraceContext | null,
  maxBytes: number,
): EncodedMessage | null {
  if (trace === null) return null;
  const message = { ...untraced, trace };
  try {
    return { message, payload: encodeMessage(message, maxBytes) };
  } catch {
    return null;
  }
}

function detached(message: InvalidationMessage): InvalidationMessage {
  return message.metadata === null
    ? message
    : { ...message, metadata: JSON.parse(JSON.stringify(message.metadata)) };
}
