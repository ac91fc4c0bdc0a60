import { channel, type Channel } from 'node:diagnostics_channel';
import type { CacheInvalidationError } from '../errors/index.js';
import type { InvalidationMessage } from '../message/index.js';
import type { CountedWidening } from '../stream/index.js';
import type { SubscriptionState } from '../subscriber/index.js';
import type { StaleCopy } from '../audit/index.js';
import type { InvalidationSourceState } from './invalidation-sources.js';

/**
 * Events of the library's `diagnostics_channel`s. A channel is named
 * `nestjs-cache-invalidation:` and the name of the event. Every event names its
 * application, since several may run in one process.
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
  /** Redis has accepted a message; `latency` in milliseconds. */
  readonly published: EventSender & {
    readonly message: InvalidationMessage;
    readonly latency: number;
    /** Number of receiving connections; `null` if an earlier attempt had reached Redis. */
    readonly receivers: number | null;
    readonly offset: string | null;
  };
  /** A message, of this instance or another, was handed to this instance's consumers. */
  readonly delivered: EventSender & { readonly message: InvalidationMessage };
  /** A handler or a bound cache is done with a message; `latency` in milliseconds. */
  readonly handled: EventSender & {
    readonly message: InvalidationMessage;
    readonly handler: string;
    readonly latency: number;
  };
  /** A message was made coarser on purpose. */
  readonly widened: EventSender & { readonly cause: CountedWidening };
  /** The state of the subscription. */
  readonly status: EventSender & {
    readonly state: SubscriptionState;
    readonly reason: string | null;
  };
  /**
   * The part of this instance in a source, such as PostgreSQL, has changed; `reason` is its
   * fault, if there is one.
   */
  readonly 'source-state': EventSender & {
    readonly source: string;
    readonly state: InvalidationSourceState;
    readonly reason: string | null;
  };
  /** This instance has invalidated whole types for changes of a source. */
  readonly 'source-widened': EventSender & {
    readonly source: string;
    readonly cause: string;
  };
  /** An error that had no caller to be thrown at. */
  readonly error: EventSender & { readonly error: CacheInvalidationError };
  /** The auditor has found a stale copy. */
  readonly stale: EventSender & StaleCopy;
}

/** Application that an event comes from. @publicApi */
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
      'source-state',
      'source-widened',
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
