import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { BehaviorSubject, filter, firstValueFrom, type Observable } from 'rxjs';
import {
  bindCache,
  type BindableCache,
  type BindOptions,
} from '../cache/index.js';
import { inMilliseconds, type Duration } from '../common/index.js';
import {
  describeCause,
  InvalidationConfigurationError,
  InvalidationRedisError,
  InvalidationSerializationError,
  type CacheInvalidationError,
} from '../errors/index.js';
import {
  compareOffsets,
  encodeOrigin,
  isOffset,
  JOURNAL_START,
  parseTimestamp,
  readOwnId,
  readOwnPlace,
  show,
  wallClock,
  type EntityType,
  type InvalidationMessage,
  type WidenedCause,
} from '../message/index.js';
import type { Fence, InvalidationHandler, PastFence } from '../stream/index.js';
import type { TransportListener } from '../transport/index.js';
import { CatchUp, type CatchUpContext } from './catch-up.js';
import { Heartbeat, type HeartbeatOptions } from './heartbeat.js';
import type { JournaledMessage } from './journal.reader.js';
import { missingRights } from './missing-rights.js';
import { readPast } from './past.reader.js';
import { OffsetWaiters } from './offset.waiters.js';
import { PayloadDecoder } from './payload.decoder.js';
import { SelfIntroduction } from './self-introduction.js';
import { Staleness, type StalePolicy } from './staleness.js';
import type {
  SubscriptionState,
  SubscriptionStatus,
} from './subscription-status.js';

/** Before the quote and the brace that end a message. */
const LAST_OF_ORIGIN = 3;

/** How long `caughtUp` waits unless it is told, in milliseconds. */
const CAUGHT_UP_MS = 1_000;

/** When the journal is read again for what came before, in milliseconds. */
const RECALL_AGAIN_MS = 1_000;

/** ioredis says so of any connection that ended: every other reason says more. */
const CLOSED = 'Connection is closed';

/** Too frequent for the log: a message overtaken by a heartbeat is enough. */
const GAP = 'something may have been missed';

/** @internal */
export interface SubscriberOptions extends HeartbeatOptions {
  readonly enabled: boolean;
  readonly channel: string;
  /** How long the start of the application waits for Redis, in milliseconds. */
  readonly startupTimeout: number;
  readonly maxMessageBytes: number;
  /** How many bytes of messages may wait for the journal to be read. */
  readonly queueByteLimit: number;
  readonly maxStaleness: number;
  readonly whenStale: StalePolicy;
}

/** @internal */
export type SubscriberContext = CatchUpContext;

/**
 * Receives the invalidations of other instances from Redis, and this instance's
 * own. Missed messages are read from the journal; where that cannot be done, one
 * message that covers everything is delivered in their place.
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
  readonly #catchUp: CatchUp;
  readonly #heartbeat: Heartbeat;
  readonly #staleness: Staleness;
  readonly #decoder: PayloadDecoder;
  readonly #introduction: SelfIntroduction;
  readonly #waiters = new OffsetWaiters();
  /** Set while a widened message is owed for what may have been missed. */
  #owed: 'reconnected' | 'started-late' | null = null;
  /** Somebody publishes without a journal, so that it does not tell all. */
  #foreign = false;
  #onForeign = (): void => {};
  #subscribed = false;
  #wasSubscribed = false;
  /** When Redis was lost, for the log; `null` while it is there. */
  #awaySince: number | null = null;
  /** From now on whatever is missed is made up for. */
  #hears = false;
  #arrived = 0;
  /** Shared caches ask where this instance has been. */
  #tracks = false;
  #recalled: Promise<void> | null = null;
  #firstLive: (() => void) | null = null;

  /** Every message, in order. Completes at shutdown. */
  readonly messages$: Observable<InvalidationMessage>;

  /** The current state, then every change. Completes at shutdown. */
  readonly status$: Observable<SubscriptionStatus> =
    this.#status.asObservable();

  /**
   * Errors that had no caller to be thrown at: bytes that are no message, handlers
   * that failed, Redis that is away. Completes at shutdown.
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
    this.#decoder = new PayloadDecoder(
      options.maxMessageBytes,
      context.meter,
      context.errors,
      () => this.#widen('not-understood'),
    );
    this.#introduction = new SelfIntroduction(
      context.instance,
      context.stream,
      context.transport,
    );
    this.#staleness = new Staleness(options.maxStaleness, () => this.#stale());
    this.#catchUp = new CatchUp(options, context, {
      onBegin: () => {
        if (this.status.state === 'live') {
          this.#become('catching-up', GAP);
        }
      },
      onEnd: (asOf, reason) => this.#caughtUp(asOf, reason),
      onPosition: () => this.#moved(false),
      onWidened: () => this.#waiters.releaseAll(),
    });
    this.#heartbeat = new Heartbeat(options, context, this.#catchUp, {
      subscribed: () => this.#subscribed,
      arrived: () => this.#arrived,
      onProof: (asOf) => {
        this.#staleness.proven(asOf);
        this.#redisAnswers();
        this.#introduction.renew();
      },
    });
  }

  /** The state right now. */
  get status(): SubscriptionStatus {
    return this.#status.value;
  }

  /**
   * How long ago this instance last knew that it had heard everything, in
   * milliseconds; `Infinity` before it first did. A cached copy is never older
   * than this and the time a message travels.
   */
  staleness(): number {
    return this.#staleness.age;
  }

  /**
   * How far this instance is behind the journal's end, as it was last read there,
   * in milliseconds between the two messages; 0 without a journal.
   */
  lag(): number {
    return this.#catchUp.lag;
  }

  /**
   * Whether caches should be bypassed: `whenStale` is `widen`, and for longer
   * than `maxStaleness` nothing proved that this instance has heard everything;
   * or nothing is heard, before the start, after the end, or where the module is
   * switched off.
   */
  get bypass(): boolean {
    return (
      !this.#hears ||
      (this.options.whenStale === 'widen' && this.#staleness.exceeded)
    );
  }

  /**
   * Resolves once this instance has applied everything up to an offset, such as
   * that of a receipt of another instance: bound caches in memory, near caches
   * and synchronous handlers are done with it then. What returned a promise (an
   * asynchronous `@OnInvalidation()`, a bound cache elsewhere) may still be at
   * work on it.
   *
   * @param options.timeout how long to wait at most, in milliseconds or as a text
   * such as `'5s'`; 1000 if absent
   * @throws InvalidationTimeoutError if it has not come so far by then, or at once
   * if a thousand calls wait already
   * @throws InvalidationSerializationError for what is no offset, or one that lies
   * more than a minute ahead of the clocks, so that no message can have it yet
   */
  async caughtUp(
    offset: string,
    options: { readonly timeout?: Duration } = {},
  ): Promise<void> {
    if (!isOffset(offset)) {
      throw new InvalidationSerializationError(
        'That is no offset.',
        'Give the offset of a receipt, such as "1763846400000-5".',
      );
    }
    const timeout = timeoutOf(options);
    if (!this.options.enabled) return;
    if (!this.context.transport.journaled) {
      throw new InvalidationConfigurationError(
        'Nobody can wait for an offset here:',
        [
          {
            field: 'journal',
            problem: 'it is switched off, so no message has an offset.',
            fix: 'Give { maxLength }.',
          },
        ],
        '',
      );
    }
    const { position } = this.#catchUp.cursor;
    if (position !== null && compareOffsets(offset, position) <= 0) return;
    if (!this.#catchUp.horizon.allows(offset)) {
      throw new InvalidationSerializationError(
        'That offset lies in the future: no message can have it yet.',
        'Give the offset of a receipt, as it was; if it is one, set the clocks of the servers.',
      );
    }
    await this.#waiters.wait(offset, timeout);
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
    return this.context.stream.addHandler(
      handler.name === '' ? 'A subscribed handler' : handler.name,
      handler,
      types,
    );
  }

  /**
   * Drops from a cache what messages name: a `Map`, an `LRUCache`, a `Keyv`, the
   * `CACHE_MANAGER` of `@nestjs/cache-manager`, or anything with `delete`,
   * `keys` and `clear`. It ends at shutdown by itself.
   *
   * @returns a function that ends it
   * @throws InvalidationConfigurationError for what is no cache, and for options
   * that contradict each other
   */
  bind(cache: BindableCache, options: BindOptions = {}): () => void {
    return bindCache(this.context.stream, cache, options);
  }

  /**
   * Takes a fence before something is loaded that is to be cached: an update
   * that overtakes the load breaks it.
   *
   * @example
   * ```ts
   * const fence = subscriber.fence();
   * const user = await load(id);
   * if (fence.holds(`user:${id}`)) cache.set(`user:${id}`, user);
   * ```
   */
  fence(): Fence {
    return this.context.stream.fences.take();
  }

  /**
   * Up to which offset this instance has delivered everything; `null` if that
   * is not known.
   *
   * @internal
   */
  get position(): string | null {
    const { position } = this.#catchUp.cursor;
    return position === JOURNAL_START ? null : position;
  }

  /** Whether others were heard that keep no journal. @internal */
  get foreign(): boolean {
    return this.#foreign;
  }

  /** Calls it at every message of a publisher without a journal. @internal */
  whenForeign(listener: () => void): void {
    this.#onForeign = listener;
  }

  /** A fence that was taken when this instance was there. @internal */
  fenceAt(offset: string): PastFence | null {
    this.#settleEarly();
    return this.context.stream.fences.takenAt(offset);
  }

  /**
   * Whether the journal has an entry at this offset. Callers that ask for the same
   * offset at one time share one reading.
   *
   * @internal
   */
  isInJournal(offset: string): Promise<boolean> {
    return this.#catchUp.isInJournal(offset);
  }

  /** From now on `fenceAt` knows where this instance has been. @internal */
  trackPositions(): void {
    if (this.#tracks) return;
    this.#tracks = true;
    const { publisher, stream } = this.context;
    const { position } = this.#catchUp.cursor;
    const { lastOffset } = publisher;
    const isAhead =
      lastOffset !== null &&
      (position === null || compareOffsets(position, lastOffset) < 0);
    // Own messages of before were not remembered as early.
    stream.fences.trackPositions(isAhead || publisher.pending > 0);
    if (this.position !== null) stream.fences.reached(this.position, false);
  }

  /**
   * Reads in the journal what was said before positions were tracked.
   *
   * @internal
   */
  recall(): Promise<void> {
    this.#recalled ??= this.#recall();
    return this.#recalled;
  }

  /** Tried again where it fails: shared caches wait for it, and ask once. */
  async #recall(): Promise<void> {
    const live = this.status$.pipe(filter(({ state }) => state === 'live'));
    while (await firstValueFrom(live, { defaultValue: null })) {
      const { firstPosition } = this.context.stream.fences;
      if (firstPosition === null) return;
      try {
        const past = await readPast(
          this.context.transport,
          firstPosition,
          this.options.maxMessageBytes,
        );
        return this.context.stream.recall(past);
      } catch {
        await delay(RECALL_AGAIN_MS, undefined, { ref: false });
      }
    }
  }

  /**
   * Connects; waits for the subscription, but never longer than
   * `startupTimeout`: an application must start without Redis.
   *
   * @throws InvalidationConfigurationError if Redis withholds a right
   * @internal
   */
  async start(): Promise<void> {
    if (!this.options.enabled) return this.#become('stopped', 'disabled');
    this.#become('connecting', null);
    const live = new Promise<void>((resolve) => (this.#firstLive = resolve));
    this.#introduction.renew();
    this.context.transport.start(this.#listener());
    this.#heartbeat.start();
    this.#staleness.start();
    const late = setTimeout(
      () => this.#startLate(),
      this.options.startupTimeout,
    );
    await live;
    clearTimeout(late);
    await this.#checkRights();
  }

  /** @internal */
  async stop(): Promise<void> {
    this.#firstLive?.();
    this.#hears = false;
    this.#subscribed = false;
    this.#heartbeat.stop();
    this.#staleness.stop();
    this.#catchUp.lost();
    this.#waiters.close();
    await this.context.transport.close();
    this.context.stream.complete();
    this.context.errors.complete();
    this.#become('stopped', 'shut down');
    this.#status.complete();
  }

  #listener(): TransportListener {
    return {
      onMessage: (payload) => this.#receive(payload),
      onSubscribed: () => this.#resubscribed(),
      onLost: (cause) => this.#lost(cause),
      onWritable: () => {
        this.context.publisher.resume();
        this.#catchUp.writable();
        this.#heartbeat.writable();
        this.#started();
      },
      onError: (cause) => {
        this.#closedDoor(describeCause(cause));
        this.context.errors.report(
          new InvalidationRedisError(
            `Redis: ${describeCause(cause)}.`,
            'Trying again; until then invalidations wait in the outbox.',
            cause,
          ),
        );
      },
    };
  }

  /** Why nothing is heard, for whoever looks at the status. */
  #closedDoor(reason: string): void {
    const { state, reason: before } = this.status;
    if (state !== 'connecting' && state !== 'disconnected') return;
    if (before !== null && reason === CLOSED) return;
    if (reason !== before) this.#status.next({ ...this.status, reason });
  }

  #receive(payload: string): void {
    this.#arrived++;
    if (this.#isEcho(payload)) return this.#heardOwn(payload);
    const message = this.#decoder.decode(payload);
    if (message === null) return;
    const { meter, stream } = this.context;
    const now = performance.now();
    meter.received();
    meter.propagated(wallClock(now) - parseTimestamp(message.timestamp));
    const isNext = this.#isNext(message);
    if (isNext) stream.deliver(message, now);
    else this.#catchUp.hear(message as JournaledMessage);
    if (this.#waiters.any || this.#tracks) this.#moved(isNext);
  }

  /** Whether it is to be delivered now: next in the journal, or in none. */
  #isNext(message: InvalidationMessage): boolean {
    const { offset, previous } = message;
    // Others may mean something else by the word.
    if (!isOffset(offset)) {
      this.#foreign = true;
      this.#onForeign();
      return true;
    }
    if (!this.context.transport.journaled) return true;
    return this.#catchUp.cursor.advance(
      previous,
      offset,
      message as JournaledMessage,
    );
  }

  /** The publisher has told this instance already; the position moves on. */
  #heardOwn(payload: string): void {
    const { publisher } = this.context;
    const place = readOwnPlace(payload);
    if (place === null || !isOffset(place.offset)) {
      publisher.heard(readOwnId(payload));
      return;
    }
    const { offset, previous } = place;
    if (!this.#catchUp.cursor.advance(previous, offset, null)) {
      const message = this.#decoder.decode(payload);
      if (message === null) return;
      return this.#catchUp.hear(message as JournaledMessage);
    }
    this.#catchUp.echoed(offset);
    publisher.heard(readOwnId(payload));
    if (this.#waiters.any || this.#tracks) this.#moved(true);
  }

  /**
   * Whether it is an own message under way: anybody can read this instance's
   * origin, and sign with it. One character first: comparing the whole end costs
   * as much as half the checks.
   */
  #isEcho(payload: string): boolean {
    return (
      payload.charCodeAt(payload.length - LAST_OF_ORIGIN) ===
        this.#echo.charCodeAt(this.#echo.length - LAST_OF_ORIGIN) &&
      payload.endsWith(this.#echo) &&
      this.context.publisher.isUnderWay(readOwnId(payload))
    );
  }

  /** @param heard by a message that came over the channel */
  #moved(heard: boolean): void {
    const { position } = this.#catchUp.cursor;
    if (position === null) return;
    this.#waiters.reached(position);
    this.#settleEarly();
    if (position !== JOURNAL_START) {
      this.context.stream.fences.reached(position, heard);
    }
  }

  /** Early messages whose turn in the journal has come are early no more. */
  #settleEarly(): void {
    const { publisher, stream } = this.context;
    const { position, catchingUp } = this.#catchUp.cursor;
    if (!stream.fences.early || position === null || catchingUp) return;
    stream.fences.settleEarly(publisher, position);
  }

  #widen(cause: WidenedCause): void {
    this.context.stream.deliver(this.context.instance.widened(cause));
    this.#waiters.releaseAll();
  }

  #resubscribed(): void {
    this.#subscribed = true;
    if (this.#wasSubscribed) this.context.meter.reconnected();
    this.#wasSubscribed = true;
    if (this.#owed !== null) this.#widen(this.#owed);
    this.#owed = null;
    if (!this.context.transport.journaled) {
      return this.#caughtUp(performance.now(), null);
    }
    if (this.status.state === 'disconnected') {
      this.#become('catching-up', 'the subscription was lost');
    }
    this.#catchUp.subscribed();
  }

  #lost(cause: Error | null): void {
    this.#subscribed = false;
    // Without a journal that tells all, what was missed is unknown.
    if (this.#foreign || !this.context.transport.journaled) {
      this.#owed = 'reconnected';
    }
    this.#catchUp.lost();
    this.#awaySince ??= performance.now();
    this.#become(
      'disconnected',
      cause === null ? 'the connection closed' : describeCause(cause),
    );
  }

  #caughtUp(asOf: number | null, reason: string | null): void {
    if (asOf !== null) this.#staleness.proven(asOf);
    // The line of the state says for how long Redis was away.
    this.context.errors.redisAnswers();
    this.#become('live', reason);
    this.#awaySince = null;
    this.#started();
  }

  #stale(): void {
    const { maxStaleness, whenStale } = this.options;
    this.#logger.warn(
      `For ${maxStaleness} ms nothing proved that this instance has heard everything (option maxStaleness): ${
        whenStale === 'widen'
          ? 'everything is evicted, and caches are to be bypassed'
          : 'what is cached is served all the same'
      }.`,
    );
    if (whenStale === 'widen') this.#widen('stale');
  }

  /** Live, and able to publish: what the application waits for at its start. */
  #started(): void {
    if (this.status.state !== 'live' || !this.context.transport.writable)
      return;
    this.#redisAnswers();
    this.#hears = true;
    this.#firstLive?.();
    this.#firstLive = null;
  }

  #redisAnswers(): void {
    const away = this.context.errors.redisAnswers();
    if (away !== null) {
      this.#logger.log(`Redis answers again, after ${seconds(away)}.`);
    }
  }

  #startLate(): void {
    this.#hears = true;
    this.#awaySince ??= performance.now() - this.options.startupTimeout;
    if (this.context.transport.journaled) this.#catchUp.served();
    else if (!this.#subscribed) this.#owed = 'started-late';
    this.#logger.warn(
      `Redis has not answered within ${this.options.startupTimeout} ms${because(this.status.reason)}: the application starts without it and goes live when it comes back.`,
    );
    this.#firstLive?.();
    this.#firstLive = null;
  }

  async #checkRights(): Promise<void> {
    const error = await missingRights(this.context.transport, this.options);
    if (error === null) return;
    await this.stop();
    throw error;
  }

  #become(state: SubscriptionState, reason: string | null): void {
    const before = this.#status.value;
    if (before.state === state && before.reason === reason) return;
    this.#status.next(status(state, reason));
    this.#log(before, state, reason);
  }

  #log(
    before: SubscriptionStatus,
    state: SubscriptionState,
    reason: string | null,
  ): void {
    const channel = `channel "${this.options.channel}"`;
    const away =
      this.#awaySince === null
        ? ''
        : ` after ${seconds(performance.now() - this.#awaySince)} without Redis`;
    if (state === 'live' && reason !== null) {
      this.#logger.warn(`Live on ${channel}${away}, but ${reason}.`);
    } else if (state === 'live' && before.reason !== GAP) {
      this.#logger.log(`Live on ${channel}${away}.`);
    } else if (state === 'disconnected' && before.state !== 'disconnected') {
      this.#logger.warn(
        `Disconnected from ${channel}: ${reason}. What is missed is made up for once the subscription is back.`,
      );
    }
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function because(reason: string | null): string {
  return reason === null ? '' : ` (${reason})`;
}

/** As plain JavaScript may give it. */
function timeoutOf(options: { readonly timeout?: Duration } | null): number {
  const isGiven = typeof options === 'object' && options !== null;
  const timeout = isGiven ? inMilliseconds(options.timeout) : options;
  if (isGiven && timeout === undefined) return CAUGHT_UP_MS;
  if (isGiven && typeof timeout === 'number' && timeout >= 0) return timeout;
  throw new InvalidationConfigurationError(
    'That is no time to wait:',
    [
      {
        field: 'timeout',
        problem: `${show(timeout)} will not do.`,
        fix: 'Give { timeout } with a number of milliseconds, 0 or more, or a time such as "5s".',
      },
    ],
    '',
  );
}

function status(
  state: SubscriptionState,
  reason: string | null,
): SubscriptionStatus {
  return { state, since: new Date(), reason };
}
