import { Inject, Injectable } from '@nestjs/common';
import { filter, firstValueFrom, takeUntil, timer } from 'rxjs';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  inMilliseconds,
  LONGEST_TIMER_MS,
  type Duration,
} from '../common/index.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import { show } from '../message/index.js';
import { InvalidationPublisher } from '../publisher/index.js';
import {
  BlindSources,
  InvalidationSubscriber,
  Staleness,
  usualStaleness,
  type HeartbeatOptions,
  type SubscriptionState,
} from '../subscriber/index.js';
import {
  InvalidationSources,
  type InvalidationSourceState,
} from './invalidation-sources.js';

/** A source that is no region, such as PostgreSQL. @publicApi */
export interface InvalidationSourceHealth {
  readonly state: InvalidationSourceState;
  /**
   * Milliseconds since all changes of the source were last known to have arrived here;
   * `null` before the first time.
   */
  readonly staleness: number | null;
}

/** Health of this instance's invalidations. @publicApi */
export interface InvalidationHealthReport {
  /**
   * - `up`: every message is received and published
   * - `degraded`: nothing is lost, but copies may be older than usual: missed messages are
   *   being replayed, invalidations wait for Redis, or another region or source is not heard
   * - `down`: invalidations do not arrive
   */
  readonly status: 'up' | 'degraded' | 'down';
  /** State of the subscription; `disabled` if the module is switched off, which is `up`. */
  readonly state: SubscriptionState | 'disabled';
  /** Reason, if something is wrong. */
  readonly reason: string | null;
  /**
   * Milliseconds since this instance last knew that it had received everything; `null`
   * before the first time. With `regions` or other sources, of the stalest one.
   */
  readonly staleness: number | null;
  /**
   * Staleness of each source of `regions`, by its name: milliseconds since everything of
   * that source was last known to have arrived here; `null` before the first time.
   */
  readonly regions: Readonly<Record<string, number | null>>;
  /** The sources that are no regions, such as PostgreSQL, by name. */
  readonly sources: Readonly<Record<string, InvalidationSourceHealth>>;
  /** Lag behind the end of the journal, in milliseconds. */
  readonly lag: number;
  /** Messages that Redis has not accepted yet. */
  readonly outbox: number;
}

/** @internal */
export interface HealthOptions extends HeartbeatOptions {
  readonly enabled: boolean;
}

/**
 * Reports the health of this instance's invalidations, for health checks of any kind.
 *
 * @publicApi
 */
@Injectable()
export class InvalidationHealth {
  #isReady: boolean;

  /** @internal */
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: HealthOptions,
    private readonly subscriber: InvalidationSubscriber,
    private readonly publisher: InvalidationPublisher,
    private readonly freshness: Staleness,
    private readonly blind: BlindSources,
    private readonly sources: InvalidationSources,
  ) {
    this.#isReady = !options.enabled;
    subscriber.status$.subscribe(({ state }) => {
      this.#isReady ||= state === 'live';
    });
  }

  /** Current health; sends no command to Redis. */
  check(): InvalidationHealthReport {
    const { state, reason } = this.subscriber.status;
    const { enabled } = this.options;
    const status = enabled ? this.#status : 'up';
    const blind = status === 'degraded' ? this.blind.reason : null;
    const { age, regionAges } = this.freshness;
    return {
      status,
      state: enabled ? state : 'disabled',
      reason: enabled ? (reason ?? blind) : null,
      staleness: finite(age),
      regions: Object.fromEntries(
        regionAges.map(([source, sourceAge]) => [source, finite(sourceAge)]),
      ),
      sources: Object.fromEntries(
        this.sources.all.map((source) => {
          const { state: part } = source.status();
          const sourceAge = finite(this.sources.ageOf(source) ?? Infinity);
          return [source.name, { state: part, staleness: sourceAge }];
        }),
      ),
      lag: this.subscriber.lag(),
      outbox: this.publisher.outboxSize,
    };
  }

  /**
   * Whether this instance has received everything once since it started: only then
   * should it get its first request. Stays true from then on.
   *
   * @param options.timeout how long to wait for that, in milliseconds or as a text
   * such as `'5s'`; 0 if absent
   * @throws InvalidationConfigurationError for an invalid timeout
   */
  async ready(options: { readonly timeout?: Duration } = {}): Promise<boolean> {
    const timeout = inMilliseconds(options.timeout ?? 0);
    if (typeof timeout !== 'number') {
      throw new InvalidationConfigurationError('The timeout is not valid:', [
        {
          field: 'timeout',
          problem: `${show(timeout)} is not valid.`,
          fix: 'Give { timeout } with milliseconds, or a time such as "5s".',
        },
      ]);
    }
    if (this.#isReady || timeout <= 0) return this.#isReady;
    const live = this.subscriber.status$.pipe(
      filter(({ state }) => state === 'live'),
      takeUntil(timer(Math.min(timeout, LONGEST_TIMER_MS))),
    );
    await firstValueFrom(live, { defaultValue: null });
    return this.#isReady;
  }

  get #status(): InvalidationHealthReport['status'] {
    const { state, reason } = this.subscriber.status;
    if (state !== 'live' && state !== 'catching-up') return 'down';
    const isWell =
      state === 'live' &&
      reason === null &&
      this.publisher.outboxSize === 0 &&
      this.freshness.ownAge <= usualStaleness(this.options) &&
      this.blind.reason === null;
    return isWell ? 'up' : 'degraded';
  }
}

function finite(age: number): number | null {
  return Number.isFinite(age) ? age : null;
}
