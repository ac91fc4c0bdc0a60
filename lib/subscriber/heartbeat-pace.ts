import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import type { HeartbeatOptions } from './heartbeat.js';

/** Heartbeats within the strictest bound: one may fail if the next one succeeds. */
const BEATS = 4;
/** The shortest time to answer that Redis is given because of a bound, in milliseconds. */
const SHORTEST_TIMEOUT_MS = 500;

/** The strictest `maxStaleness` of a cache, in milliseconds. @internal */
export interface StrictestBound {
  readonly cache: string;
  readonly maxStaleness: number;
}

/**
 * Times of this instance's heartbeats: those of the options, or what the strictest
 * bound of a cache needs, so that a healthy connection never reaches it.
 *
 * @internal
 */
@Injectable()
export class HeartbeatPace implements HeartbeatOptions {
  #strictest: StrictestBound | null = null;
  #onStricter = (): void => {};

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: HeartbeatOptions,
  ) {}

  get strictest(): StrictestBound | null {
    return this.#strictest;
  }

  get heartbeatInterval(): number {
    const { heartbeatInterval } = this.options;
    return Math.min(heartbeatInterval, this.#share);
  }

  get heartbeatTimeout(): number {
    const { heartbeatTimeout } = this.options;
    return Math.min(
      heartbeatTimeout,
      Math.max(this.#share, SHORTEST_TIMEOUT_MS),
    );
  }

  /** Sets the listener that is called with each bound that is the strictest so far. */
  whenStricter(listener: () => void): void {
    this.#onStricter = listener;
  }

  /**
   * Adds the bound of a cache, for as long as the application runs.
   *
   * @param maxStaleness in milliseconds
   */
  bound(cache: string, maxStaleness: number): void {
    if (maxStaleness >= (this.#strictest?.maxStaleness ?? Infinity)) return;
    this.#strictest = { cache, maxStaleness };
    this.#onStricter();
  }

  get #share(): number {
    const { maxStaleness } = this.#strictest ?? { maxStaleness: Infinity };
    return Math.floor(maxStaleness / BEATS);
  }
}
