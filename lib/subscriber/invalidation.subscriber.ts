import { Injectable, Logger } from '@nestjs/common';
import { BehaviorSubject, type Observable } from 'rxjs';
import {
  describeCause,
  InvalidationRedisError,
  InvalidMessageError,
  OversizedMessageError,
  type CacheInvalidationError,
} from '../errors/index.js';
import {
  concerns,
  decodeMessage,
  encodeOrigin,
  parseTimestamp,
  wallClock,
  type EntityType,
  type Instance,
  type InvalidationMessage,
  type WidenedCause,
} from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import type {
  ErrorReporter,
  InvalidationHandler,
  InvalidationMeter,
  InvalidationStream,
} from '../stream/index.js';
import type {
  InvalidationTransport,
  TransportListener,
} from '../transport/index.js';
import type {
  SubscriptionState,
  SubscriptionStatus,
} from './subscription-status.js';

/** Before the quote and the brace that end a message. */
const LAST_OF_ORIGIN = 3;

/** @internal */
export interface SubscriberOptions {
  readonly enabled: boolean;
  readonly channel: string;
  /** How long the start of the application waits for Redis, in milliseconds. */
  readonly startupTimeout: number;
  readonly maxMessageBytes: number;
}

/** @internal */
export interface SubscriberContext {
  readonly instance: Instance;
  readonly transport: InvalidationTransport;
  readonly publisher: InvalidationPublisher;
  readonly stream: InvalidationStream;
  readonly meter: InvalidationMeter;
  readonly errors: ErrorReporter;
}

/**
 * Where invalidations arrive: those of other instances from Redis, and this
 * instance's own. Whenever it cannot know what it missed, one message that
 * covers everything is delivered in its place.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationSubscriber {
  readonly #logger = new Logger('CacheInvalidation');
  readonly #status = new BehaviorSubject<SubscriptionStatus>(
    status('stopped', 'not started'),
  );
  /** How the payload of every message of this instance's own ends. */
  readonly #echo: string;
  /** Set while a widened message is owed for what may have been missed. */
  #owed: 'reconnected' | 'started-late' | null = null;
  #firstLive: (() => void) | null = null;

  /** Every message, in order. Completes at shutdown. */
  readonly messages$: Observable<InvalidationMessage>;

  /** The current state, then every change. Completes at shutdown. */
  readonly status$: Observable<SubscriptionStatus> =
    this.#status.asObservable();

  /**
   * What went wrong and had no caller to be thrown at: bytes that are no
   * message, handlers that failed, Redis that is away. Completes at shutdown.
   */
  readonly errors$: Observable<CacheInvalidationError>;

  /** @internal */
  constructor(
    private readonly options: SubscriberOptions,
    private readonly context: SubscriberContext,
  ) {
    this.messages$ = context.stream.messages$;
    this.errors$ = context.errors.errors$;
    this.#echo = encodeOrigin(context.instance.origin);
  }

  /** The state right now. */
  get status(): SubscriptionStatus {
    return this.#status.value;
  }

  /**
   * Calls `handler` with every message, one after the other: the next waits for
   * a returned promise. A handler that throws or rejects is logged and counted,
   * and goes on with the next message.
   *
   * @param types only messages that may touch these entity types; all if absent
   * @returns a function that ends it
   */
  subscribe(handler: InvalidationHandler, ...types: EntityType[]): () => void {
    return this.context.stream.handle(
      handler.name === '' ? 'A subscribed handler' : handler.name,
      handler,
      concerns(types),
    );
  }

  /**
   * Connects; waits for the subscription, but never longer than
   * `startupTimeout`: an application must start without Redis.
   *
   * @internal
   */
  async start(): Promise<void> {
    if (!this.options.enabled) return this.#become('stopped', 'disabled');
    this.#become('connecting', null);
    const live = new Promise<void>((resolve) => (this.#firstLive = resolve));
    this.context.transport.start(this.#listener());
    const late = setTimeout(
      () => this.#startLate(),
      this.options.startupTimeout,
    );
    await live;
    clearTimeout(late);
  }

  /** @internal */
  async stop(): Promise<void> {
    this.#firstLive?.();
    await this.context.transport.close();
    this.context.stream.complete();
    this.context.errors.complete();
    this.#become('stopped', 'shut down');
    this.#status.complete();
  }

  #listener(): TransportListener {
    return {
      onMessage: (payload) => this.#receive(payload),
      onSubscribed: () => this.#live(),
      onLost: (cause) => {
        this.#owed = 'reconnected';
        this.#become(
          'disconnected',
          cause === null ? 'the connection closed' : describeCause(cause),
        );
      },
      onWritable: () => {
        this.context.publisher.resume();
        this.#started();
      },
      onError: (cause) =>
        this.context.errors.report(
          new InvalidationRedisError(
            `Redis: ${describeCause(cause)}.`,
            'Trying again; until then invalidations wait in the outbox.',
            cause,
          ),
        ),
    };
  }

  #receive(payload: string): void {
    if (this.#isEcho(payload)) return;
    let message: InvalidationMessage;
    try {
      message = decodeMessage(payload, this.options.maxMessageBytes);
    } catch (error) {
      this.#malformed(error);
      // It may have been a batch of a publisher with a larger limit.
      if (error instanceof OversizedMessageError) this.#widen('not-understood');
      return;
    }
    const { meter, stream } = this.context;
    const now = performance.now();
    meter.received();
    meter.propagated(wallClock(now) - parseTimestamp(message.timestamp));
    stream.deliver(message, now);
  }

  /** One character first: comparing the end costs as much as half the checks. */
  #isEcho(payload: string): boolean {
    return (
      payload.charCodeAt(payload.length - LAST_OF_ORIGIN) ===
        this.#echo.charCodeAt(this.#echo.length - LAST_OF_ORIGIN) &&
      payload.endsWith(this.#echo)
    );
  }

  #widen(cause: WidenedCause): void {
    this.context.stream.deliver(this.context.instance.widened(cause));
  }

  #malformed(error: unknown): void {
    this.context.meter.malformed();
    this.context.errors.report(
      error instanceof InvalidMessageError
        ? error
        : new InvalidMessageError(
            'A message could not be read.',
            '',
            null,
            error,
          ),
    );
  }

  #live(): void {
    this.#become('live', null);
    if (this.#owed !== null) {
      this.#widen(this.#owed);
      this.#owed = null;
    }
    this.#started();
  }

  /** Live, and able to publish: what the application waits for at its start. */
  #started(): void {
    if (this.status.state !== 'live' || !this.context.transport.writable)
      return;
    this.#firstLive?.();
    this.#firstLive = null;
  }

  #startLate(): void {
    if (this.status.state !== 'live') this.#owed = 'started-late';
    this.#logger.warn(
      `Redis has not answered within ${this.options.startupTimeout} ms: the application starts without it and goes live when it comes back.`,
    );
    this.#firstLive?.();
    this.#firstLive = null;
  }

  #become(state: SubscriptionState, reason: string | null): void {
    const before = this.#status.value.state;
    this.#status.next(status(state, reason));
    if (state === 'live') {
      this.#logger.log(`Live on channel "${this.options.channel}".`);
    } else if (state === 'disconnected' && before === 'live') {
      this.#logger.warn(
        `Disconnected from channel "${this.options.channel}": ${reason}. Everything will be evicted once the subscription is back.`,
      );
    }
  }
}

function status(
  state: SubscriptionState,
  reason: string | null,
): SubscriptionStatus {
  return { state, since: new Date(), reason };
}
