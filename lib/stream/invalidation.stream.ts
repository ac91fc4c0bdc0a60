import { Inject, Injectable } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import {
  concerns,
  IdNormalizer,
  type AnyEntityType,
  type IdForms,
  type InvalidationMessage,
  type QueueLimit,
  type WidenedCause,
} from '../message/index.js';
import { Fences } from './fences.js';
import {
  InvalidationConsumer,
  type ConsumerContext,
  type InvalidationCondition,
  type InvalidationHandler,
} from './invalidation.consumer.js';
import { ErrorReporter } from './error.reporter.js';
import { InvalidationMeter } from './invalidation.meter.js';
import { Tracing } from './invalidation.tracer.js';
import { outsideOfRequests } from './outside.js';

/** Without a closure for each message. */
let deliverTo: (
  stream: InvalidationStream,
  message: InvalidationMessage,
  now: number | undefined,
) => void;

/** So many of one name are hardly meant. */
const MANY = 250;
/** Caches and handlers of one instance. */
const CONSUMER_LIMIT = 10_000;
const MANY_ADVICE =
  'A constructor runs again for each request if its class, or anything that it injects, is request-scoped: make caches and subscriptions once, in a singleton, or end each of them.';

/** For the log; `null` where somebody else says more of it. */
const REASONS: Record<WidenedCause, string | null> = {
  'not-understood': 'a message was not understood, or too large to be read',
  reconnected:
    'the subscription was lost, and somebody publishes without a journal',
  missed: 'messages were missed, and the journal does not have them',
  'started-late':
    'the application served before it was connected, and the journal does not say since when',
  stale: null,
  'handler-overflow': null,
};

/** @internal */
export interface StreamOptions {
  /** Messages that may wait for one busy handler. */
  readonly handlerQueueLimit: number;
  /** How many bytes of them. */
  readonly queueByteLimit: number;
  readonly normalizeIds?: IdForms | undefined;
}

/**
 * Delivers messages to every consumer of this instance. The subscriber feeds it
 * with messages of others, the publisher with own ones.
 *
 * @internal
 */
@Injectable()
export class InvalidationStream {
  readonly #messages = new Subject<InvalidationMessage>();
  /** Fences: recently delivered messages, for loads that are under way. */
  readonly fences = new Fences();
  /** Forms of ids; `null` where all are as they were published. */
  readonly ids: IdNormalizer | null;
  /** The tracer of this instance. */
  readonly tracing = new Tracing();
  #consumers: readonly InvalidationConsumer[] = [];

  readonly messages$: Observable<InvalidationMessage> =
    this.#messages.asObservable();

  readonly #queueLimit: QueueLimit;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: StreamOptions,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {
    this.ids = IdNormalizer.of(options.normalizeIds);
    this.#queueLimit = {
      messages: options.handlerQueueLimit,
      bytes: options.queueByteLimit,
    };
  }

  /**
   * @param name class and method, for logs
   * @param types only messages that may touch these entity types; all if empty
   * @param when and which of these, by a function of the application's
   * @returns a function that removes the handler
   */
  addHandler(
    name: string,
    handler: InvalidationHandler,
    types: readonly AnyEntityType[],
    when?: InvalidationCondition,
  ): () => void {
    const consumer = new InvalidationConsumer(
      name,
      handler,
      concerns(types),
      when,
      this.#context(types.length === 0 ? null : types, this.tracing),
    );
    this.#count(name);
    // A new array each time: the list may change while it is walked.
    this.#consumers = [...this.#consumers, consumer];
    return () => this.#remove(consumer);
  }

  /**
   * Registers a cache: its messages come before those of handlers, which may read
   * it.
   *
   * @param types that it keeps; `null` if that is not known
   */
  addCache(
    name: string,
    handler: InvalidationHandler,
    types: readonly AnyEntityType[] | null,
    when?: InvalidationCondition,
  ): () => void {
    const consumer = new InvalidationConsumer(
      name,
      handler,
      () => true,
      when,
      this.#context(types, null),
    );
    this.#count(name);
    this.#consumers = [consumer, ...this.#consumers];
    return () => this.#remove(consumer);
  }

  /** Bounds the consumers: one that a constructor registers stays, however often that constructor runs. */
  #count(name: string): void {
    if (this.#consumers.length >= CONSUMER_LIMIT) {
      throw new InvalidationConfigurationError(
        'Nothing more can be told of invalidations:',
        [
          {
            field: 'subscribers',
            problem: `there are ${CONSUMER_LIMIT} already, the last of which is "${name}".`,
            fix: MANY_ADVICE,
          },
        ],
        '',
      );
    }
    const same = this.#consumers.filter((other) => other.name === name).length;
    if (same + 1 !== MANY) return;
    this.errors.log(
      'warn',
      `${name} has been registered for invalidations ${MANY} times, and each is told of every message. ${MANY_ADVICE}`,
      `${name} registered`,
    );
  }

  #context(
    types: readonly string[] | null,
    tracing: Tracing | null,
  ): ConsumerContext {
    const { meter, errors } = this;
    return { meter, errors, tracing, queueLimit: this.#queueLimit, types };
  }

  /** Entity types that any consumer is about; `null` for all. */
  handledTypes(): string[] | null {
    if (this.#messages.observed) return null;
    const handled = new Set<string>();
    for (const { types } of this.#consumers) {
      if (types === null) return null;
      for (const type of types) handled.add(type);
    }
    return [...handled].toSorted();
  }

  #remove(consumer: InvalidationConsumer): void {
    consumer.close();
    this.#consumers = this.#consumers.filter((other) => other !== consumer);
  }

  /**
   * Hands one message to everybody. Never throws.
   *
   * @param now what `performance.now()` says, for who has asked already
   */
  deliver(given: InvalidationMessage, now?: number): void {
    const message = this.ids === null ? given : this.ids.message(given);
    // Others come from a socket. An own message is delivered where it is
    // published, or where another one was that left in the same call.
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
    if (message.widened !== null) this.#widened(message.widened);
    // First: a handler may load anew what it hears of.
    if (message.own && message.widened === null) {
      this.fences.recordEarly(message);
    } else {
      this.fences.record(message);
    }
    let time = now;
    for (const consumer of this.#consumers) time = consumer.push(message, time);
    if (this.#messages.observed) this.#messages.next(message);
  }

  #widened(cause: WidenedCause): void {
    this.meter.widened(cause);
    const reason = REASONS[cause];
    if (reason === null) return;
    this.errors.log(
      'warn',
      `More was evicted than had changed: ${reason}.`,
      cause,
    );
  }

  /** Notes what the journal says of the time before positions were tracked. */
  recall(past: Parameters<Fences['recall']>[0]): void {
    const { ids } = this;
    this.fences.recall(
      ids === null ? past : past.map((message) => ids.message(message)),
    );
  }

  /** Whether a handler runs. */
  get busy(): boolean {
    return this.#consumers.some(({ busy }) => busy);
  }

  /** Resolves once no handler runs and none has anything waiting. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.whenIdle()));
  }

  complete(): void {
    for (const consumer of this.#consumers) consumer.close();
    this.#consumers = [];
    this.#messages.complete();
  }
}
