import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import {
  bindCache,
  type BindableCache,
  type BindOptions,
  type BoundCache,
} from '../cache/index.js';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import type { Duration } from '../common/index.js';
import {
  InvalidationConfigurationError,
  InvalidationSerializationError,
  type CacheInvalidationError,
} from '../errors/index.js';
import {
  isOffset,
  show,
  type EntityType,
  type InvalidationMessage,
} from '../message/index.js';
import {
  ErrorReporter,
  InvalidationStream,
  unheard,
  type Fence,
  type InvalidationHandler,
} from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { caughtUpTimeout } from './caught-up-timeout.js';
import { MessageReceiver } from './message-receiver.js';
import { PositionTracker } from './position-tracker.js';
import { RegionReach } from './region-reach.js';
import { Staleness } from './staleness.js';
import { StatusLog } from './status-log.js';
import type { SubscriptionStatus } from './subscription-status.js';

/**
 * Receives the invalidations of other instances from Redis, and this instance's
 * own. Missed messages are read from the journal; where that cannot be done, one
 * message that covers everything is delivered in their place.
 *
 * With `role: 'publisher'` nothing is received: what registers for messages throws an
 * InvalidationConfigurationError, `messages$` emits it as its error, and `status` and
 * `staleness()` are about publishing: the connection, and what Redis has taken.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationSubscriber {
  /** Every message, in order. Completes at shutdown. */
  readonly messages$: Observable<InvalidationMessage>;

  /** The current state, then every change. Completes at shutdown. */
  readonly status$: Observable<SubscriptionStatus>;

  /**
   * Errors that had no caller to be thrown at: bytes that are no message, handlers
   * that failed, Redis that is away. Completes at shutdown.
   */
  readonly errors$: Observable<CacheInvalidationError>;

  /** @internal */
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: {
      readonly enabled: boolean;
      readonly regions?: { readonly local: string } | undefined;
    },
    private readonly transport: InvalidationTransport,
    private readonly receiver: MessageReceiver,
    private readonly tracker: PositionTracker,
    private readonly reach: RegionReach,
    private readonly freshness: Staleness,
    private readonly stream: InvalidationStream,
    private readonly log: StatusLog,
    private readonly errors: ErrorReporter,
  ) {
    this.messages$ = stream.messages$;
    this.status$ = log.status$;
    this.errors$ = errors.errors$;
  }

  /** The state right now. */
  get status(): SubscriptionStatus {
    return this.log.current;
  }

  /**
   * How long ago this instance last knew that it had received everything, in
   * milliseconds; `Infinity` before it first did. A cached copy is never older
   * than this and the time a message travels. With `regions`, or with PostgreSQL as a
   * source, it is the longest of this region and all sources.
   *
   * @param source only of this region of `regions.sources`, or of a source such as
   * `postgres:cache_invalidation`
   * @throws InvalidationConfigurationError for a region that is no source, and with
   * `role: 'publisher'`
   */
  staleness(source?: string): number {
    if (source === undefined) return this.freshness.age;
    if (!this.stream.receives) throw unheard('staleness() of a region');
    const age = this.freshness.ageOf(source);
    if (age === undefined) throw noSource(source);
    return age;
  }

  /**
   * How far this instance is behind the journal's end, as it was last read there,
   * in milliseconds between the two messages; 0 without a journal.
   */
  lag(): number {
    return this.receiver.horizon.lagOf(this.receiver.position);
  }

  /**
   * Whether caches should be bypassed: `whenStale` is `widen`, and for longer
   * than `maxStaleness` nothing proved that this instance has received everything;
   * or nothing is received, before the start, after the end, or where the module is
   * switched off.
   */
  get bypass(): boolean {
    return this.freshness.bypass;
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
   * @param options.region the source in whose journal the offset is; this region if
   * absent
   * @throws InvalidationTimeoutError if it has not come so far by then, or at once
   * if a thousand calls wait already
   * @throws InvalidationSerializationError for what is no offset, or one of this region
   * that lies more than a minute ahead of the clocks, so that no message can have it yet
   */
  async caughtUp(
    offset: string,
    options: { readonly timeout?: Duration; readonly region?: string } = {},
  ): Promise<void> {
    if (!isOffset(offset)) {
      throw new InvalidationSerializationError(
        'That is no offset.',
        'Give the offset of a receipt, such as "1763846400000-5".',
      );
    }
    const timeout = caughtUpTimeout(options);
    if (!this.options.enabled) return;
    if (!this.stream.receives) throw unheard('caughtUp()');
    if (!this.transport.journaled) {
      throw new InvalidationConfigurationError(
        'caughtUp() needs the journal:',
        [
          {
            field: 'journal',
            problem: 'it is switched off, so no message has an offset.',
            fix: 'Give { maxLength }.',
          },
        ],
      );
    }
    const { region } = options;
    if (region === undefined || region === this.options.regions?.local) {
      return this.tracker.reached(offset, timeout);
    }
    if (!(await this.reach.reached(region, offset, timeout))) {
      throw noSource(region);
    }
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
    return this.stream.addHandler(
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
   * @returns the binding, a function that ends it
   * @throws InvalidationConfigurationError for what is no cache, and for options
   * that contradict each other or are not valid
   */
  bind(cache: BindableCache, options: BindOptions = {}): BoundCache {
    const { stream, tracker, errors } = this;
    return bindCache(stream, tracker, errors, cache, options);
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
    if (!this.stream.receives) throw unheard('fence()');
    return this.stream.fences.take();
  }
}

function noSource(name: string): InvalidationConfigurationError {
  return new InvalidationConfigurationError('No such region:', [
    {
      field: 'regions',
      problem: `${show(name)} is not among its sources.`,
      fix: 'Name one of regions.sources.',
    },
  ]);
}
