import { Inject, Injectable, Logger } from '@nestjs/common';
import { BehaviorSubject, type Observable } from 'rxjs';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { mayReceive, type RoleOptions } from '../common/index.js';
import type { StalePolicy } from './staleness.js';
import type {
  SubscriptionState,
  SubscriptionStatus,
} from './subscription-status.js';

/** Reason that ioredis gives for any connection that ended; every other one is more precise. */
const CLOSED = 'Connection is closed';

/** Reason of a catch-up that a gap began, which a heartbeat overtaking a message is enough for: too frequent for the log. */
const GAP = 'something may have been missed';

/** How a lost connection is made up for, by the role. */
const REPLAYED =
  'Messages that it misses are replayed, or everything is evicted, once the subscription is restored.';
const KEPT = 'Invalidations wait in the outbox until Redis is back.';

/** @internal */
export interface StatusLogOptions extends RoleOptions {
  readonly channel: string;
}

/**
 * The status of the subscription, or of a publisher's connection, and its lines in the log.
 *
 * @internal
 */
@Injectable()
export class StatusLog {
  readonly #logger = new Logger('CacheInvalidation');
  readonly #status = new BehaviorSubject<SubscriptionStatus>(
    statusOf('stopped', 'not started'),
  );
  readonly #channel: string;
  readonly #remedy: string;
  /** When Redis was lost; `null` while it is there. */
  #awaySince: number | null = null;

  readonly status$: Observable<SubscriptionStatus> =
    this.#status.asObservable();

  constructor(@Inject(CACHE_INVALIDATION_OPTIONS) options: StatusLogOptions) {
    this.#remedy = mayReceive(options) ? REPLAYED : KEPT;
    this.#channel = `channel "${options.channel}"`;
  }

  get current(): SubscriptionStatus {
    return this.#status.value;
  }

  disabled(): void {
    this.#become('stopped', 'disabled');
  }

  connecting(): void {
    this.#become('connecting', null);
  }

  /** A gap is closed from the journal; only a live subscription can have one. */
  gapFound(): void {
    if (this.current.state === 'live') this.#become('catching-up', GAP);
  }

  subscribed(): void {
    if (this.current.state !== 'disconnected') return;
    this.#become('catching-up', 'the subscription was lost');
  }

  /** @param reason that speaks against being live, where there is one */
  live(reason: string | null): void {
    this.#become('live', reason);
    this.#awaySince = null;
  }

  disconnected(reason: string): void {
    this.away();
    this.#become('disconnected', reason);
  }

  /** Redis is away, by `performance.now()` since then. */
  away(since = performance.now()): void {
    this.#awaySince ??= since;
  }

  /** Keeps the reason why no connection can be had, for readers of the status. */
  refused(reason: string): void {
    const { state, reason: before } = this.current;
    if (state !== 'connecting' && state !== 'disconnected') return;
    if (before !== null && reason === CLOSED) return;
    if (reason !== before) this.#status.next({ ...this.current, reason });
  }

  /** Redis has answered again, after so many milliseconds. */
  answersAgain(away: number): void {
    this.#logger.log(`Redis answers again, after ${seconds(away)}.`);
  }

  /** The application starts without Redis. */
  startsWithout(timeout: number): void {
    const { reason } = this.current;
    const because = reason === null ? '' : ` (${reason})`;
    this.#logger.warn(
      `Redis has not answered within ${timeout} ms${because}: the application starts without it and goes live when Redis comes back.`,
    );
  }

  /** Nothing proves any more that this instance has received everything. */
  stale(maxStaleness: number, whenStale: StalePolicy): void {
    this.#logger.warn(
      `This instance has not been known to be up to date for ${maxStaleness} ms (option maxStaleness): ${
        whenStale === 'widen'
          ? 'everything is evicted, and caches should be bypassed'
          : 'cached values are served all the same'
      }.`,
    );
  }

  shutDown(): void {
    this.#become('stopped', 'shut down');
    this.#status.complete();
  }

  #become(state: SubscriptionState, reason: string | null): void {
    const before = this.current;
    if (before.state === state && before.reason === reason) return;
    this.#status.next(statusOf(state, reason));
    this.#log(before, state, reason);
  }

  #log(
    before: SubscriptionStatus,
    state: SubscriptionState,
    reason: string | null,
  ): void {
    const away =
      this.#awaySince === null
        ? ''
        : ` after ${seconds(performance.now() - this.#awaySince)} without Redis`;
    if (state === 'live' && reason !== null) {
      this.#logger.warn(`Live on ${this.#channel}${away}, but ${reason}.`);
    } else if (state === 'live' && before.reason !== GAP) {
      this.#logger.log(`Live on ${this.#channel}${away}.`);
    } else if (state === 'disconnected' && before.state !== 'disconnected') {
      this.#logger.warn(
        `Disconnected from ${this.#channel}: ${reason}. ${this.#remedy}`,
      );
    }
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function statusOf(
  state: SubscriptionState,
  reason: string | null,
): SubscriptionStatus {
  return { state, since: new Date(), reason };
}
