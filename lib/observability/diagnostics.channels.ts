import { channel, type Channel } from 'node:diagnostics_channel';
import type { CacheInvalidationError } from '../errors/index.js';
import type { InvalidationMessage } from '../message/index.js';
import type { CountedWidening } from '../stream/index.js';
import type { SubscriptionState } from '../subscriber/index.js';
import type { StaleCopy } from '../audit/index.js';

/**
 * Events of the library's `diagnostics_channel`s, which
 * are named `nestjs-cache-invalidation:` and this. Of every event it is said
 * which application it is of: several may run in one process.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { InvalidationEvents } from 'nestjs-cache-invalidation';
 *
 * subscribe('nestjs-cache-invalidation:widened', (event) => {
 *   const { serviceName, cause } = event as InvalidationEvents['widened'];
 *   console.warn(serviceName, cause);
 * });
 * ```
 * @publicApi
 */
export interface InvalidationEvents {
  /** Redis has taken a message; `latency` in milliseconds. */
  readonly published: EventSender & {
    readonly message: InvalidationMessage;
    readonly latency: number;
    /** Connections it was handed to; `null` if an earlier try had reached Redis. */
    readonly receivers: number | null;
    readonly offset: string | null;
  };
  /** A message was handed to this instance's consumers: others' and own ones. */
  readonly delivered: EventSender & { readonly message: InvalidationMessage };
  /** A handler or a bound cache is done with a message; `latency` in milliseconds. */
  readonly handled: EventSender & {
    readonly message: InvalidationMessage;
    readonly handler: string;
    readonly latency: number;
  };
  /** Something coarser was said than what was meant. */
  readonly widened: EventSender & { readonly cause: CountedWidening };
  /** The state of the subscription. */
  readonly status: EventSender & {
    readonly state: SubscriptionState;
    readonly reason: string | null;
  };
  /** The error, which had no caller to be thrown at. */
  readonly error: EventSender & { readonly error: CacheInvalidationError };
  /** The auditor has found a stale copy. */
  readonly stale: EventSender & StaleCopy;
}

/** The application that an event is of. @publicApi */
export interface EventSender {
  readonly serviceName: string;
  /** The instance's id: the `origin` of its messages. */
  readonly origin: string;
}

/** @internal */
export const CHANNELS = Object.fromEntries(
  (
    [
      'published',
      'delivered',
      'handled',
      'widened',
      'status',
      'error',
      'stale',
    ] as const satisfies (keyof InvalidationEvents)[]
  ).map((name) => [name, channel(`nestjs-cache-invalidation:${name}`)]),
) as {
  readonly [Name in keyof InvalidationEvents]: Channel<
    unknown,
    InvalidationEvents[Name]
  >;
};
