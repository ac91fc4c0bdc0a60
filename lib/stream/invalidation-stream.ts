import { Inject, Injectable } from '@nestjs/common';
import { Subject, throwError, type Observable } from 'rxjs';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { mayReceive, type RoleOptions } from '../common/index.js';
import {
  concerns,
  IdNormalizer,
  type AnyEntityType,
  type IdForms,
  type InvalidationMessage,
  type QueueLimit,
} from '../message/index.js';
import { ConsumerList } from './consumer-list.js';
import { Fences } from './fences.js';
import { ErrorReporter } from './error-reporter.js';
import type {
  InvalidationCondition,
  InvalidationHandler,
} from './guarded-handler.js';
import {
  InvalidationConsumer,
  type ConsumerContext,
} from './invalidation-consumer.js';
import { InvalidationMeter } from './invalidation-meter.js';
import { Tracing } from './invalidation-tracer.js';
import { outsideOfRequests } from './outside.js';
import { reportWidening } from './report-widening.js';
import { unheard } from './unheard.js';

/** Delivers in the module's async context, without a closure for each message. */
let deliverTo: (
  stream: InvalidationStream,
  message: InvalidationMessage,
  now: number | undefined,
) => void;

/** @internal */
export interface StreamOptions extends RoleOptions {
  /** Messages that may wait for one busy handler. */
  readonly handlerQueueLimit: number;
  /** Bytes of messages that may wait for one busy handler. */
  readonly queueByteLimit: number;
  readonly normalizeIds?: IdForms | undefined;
}

/**
 * Delivers messages to every consumer of this instance: messages of other
 * instances from the subscriber, own messages from the publisher.
 *
 * @internal
 */
@Injectable()
export class InvalidationStream {
  readonly #messages = new Subject<InvalidationMessage>();
  /** Fences: recently delivered messages, for loads that are under way. */
  readonly fences = new Fences();
  /** Forms of ids; `null` if all ids stay as they were published. */
  readonly ids: IdNormalizer | null;
  /** The tracer of this instance. */
  readonly tracing = new Tracing();
  readonly #consumers: ConsumerList;

  /** Every message; where none is received, a subscriber gets an error. */
  readonly messages$: Observable<InvalidationMessage>;
  /** Whether messages have consumers here: a publisher refuses them. */
  readonly receives: boolean;
  readonly #queueLimit: QueueLimit;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: StreamOptions,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {
    this.receives = mayReceive(options);
    this.messages$ = this.receives
      ? this.#messages.asObservable()
      : throwError(() => unheard('messages$'));
    this.ids = IdNormalizer.of(options.normalizeIds);
    this.#consumers = new ConsumerList(errors);
    this.#queueLimit = {
      messages: options.handlerQueueLimit,
      bytes: options.queueByteLimit,
    };
  }

  /**
   * @param name class and method, for logs
   * @param types only messages that may touch these entity types; all if empty
   * @param when selects among these, by a function of the application's
   * @returns a function that removes the handler
   * @throws InvalidationConfigurationError in an application that only publishes
   */
  addHandler(
    name: string,
    handler: InvalidationHandler,
    types: readonly AnyEntityType[],
    when?: InvalidationCondition,
  ): () => void {
    if (!this.receives) throw unheard(name);
    const consumer = new InvalidationConsumer(
      name,
      handler,
      concerns(types),
      when,
      this.#context(types.length === 0 ? null : types, this.tracing),
    );
    return this.#consumers.addLast(consumer);
  }

  /**
   * Registers a cache: it receives messages before handlers do, which may read it.
   *
   * @param types entity types that it keeps; `null` if unknown
   * @returns a function that removes the cache
   * @throws InvalidationConfigurationError in an application that only publishes
   */
  addCache(
    name: string,
    handler: InvalidationHandler,
    types: readonly AnyEntityType[] | null,
    when?: InvalidationCondition,
  ): () => void {
    if (!this.receives) throw unheard(name);
    const consumer = new InvalidationConsumer(
      name,
      handler,
      () => true,
      when,
      this.#context(types, null),
    );
    return this.#consumers.addFirst(consumer);
  }

  #context(
    types: readonly string[] | null,
    tracing: Tracing | null,
  ): ConsumerContext {
    const { meter, errors } = this;
    return { meter, errors, tracing, queueLimit: this.#queueLimit, types };
  }

  /** Entity types of all consumers; `null` if one of them takes every type. */
  handledTypes(): string[] | null {
    return this.#messages.observed ? null : this.#consumers.types();
  }

  /**
   * Delivers one message to every consumer. Never throws.
   *
   * @param now `performance.now()`, for callers that have just read it
   */
  deliver(given: InvalidationMessage, now?: number): void {
    if (!this.receives) return;
    const message = this.ids === null ? given : this.ids.message(given);
    // An own message is delivered in the async context of its publish, or of
    // another publish in the same call; other messages come from a socket.
    if (message.own) outsideOfRequests(deliverTo, this, message, now);
    else this.#trace(message, now);
  }

  static {
    deliverTo = (stream, message, now) => stream.#trace(message, now);
  }

  #trace(message: InvalidationMessage, now: number | undefined): void {
    if (!this.tracing.active) return this.#deliver(message, now);
    this.tracing.delivering(message, () => this.#deliver(message, now));
  }

  #deliver(message: InvalidationMessage, now = performance.now()): void {
    this.meter.delivered(message);
    if (message.widened !== null) {
      reportWidening(message.widened, this.meter, this.errors);
    }
    // Before the handlers, which may load the changed entity anew.
    if (message.own && message.widened === null) {
      this.fences.recordEarly(message);
    } else {
      this.fences.record(message);
    }
    let time = now;
    for (const consumer of this.#consumers.all) {
      time = consumer.push(message, time);
    }
    if (this.#messages.observed) this.#messages.next(message);
  }

  /** Records messages of the journal from before positions were tracked. */
  recall(past: Parameters<Fences['recall']>[0]): void {
    const { ids } = this;
    this.fences.recall(
      ids === null ? past : past.map((message) => ids.message(message)),
    );
  }

  /** Whether a handler runs. */
  get busy(): boolean {
    return this.#consumers.busy;
  }

  /** Resolves once no handler runs and no message waits for one. */
  whenIdle(): Promise<void> {
    return this.#consumers.whenIdle();
  }

  complete(): void {
    this.#consumers.close();
    this.#messages.complete();
  }
}
