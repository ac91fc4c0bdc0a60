import { Injectable } from '@nestjs/common';
import type { Channel } from 'node:diagnostics_channel';
import { CacheAuditor } from '../audit/index.js';
import { Instance } from '../message/index.js';
import { InvalidationSubscriber } from '../subscriber/index.js';
import {
  CHANNELS,
  type InvalidationEvents,
  type EventSender,
} from './diagnostics-channels.js';

/**
 * Publishes states, errors and stale copies on Node's diagnostics channels. The events
 * of single messages are published by `InvalidationCounters`.
 *
 * @internal
 */
@Injectable()
export class Diagnostics {
  constructor(
    private readonly instance: Instance,
    { status$, errors$ }: InvalidationSubscriber,
    { stale$ }: CacheAuditor,
  ) {
    status$.subscribe(({ state, reason }) =>
      this.#publish(CHANNELS.status, { state, reason }),
    );
    errors$.subscribe((error) => this.#publish(CHANNELS.error, { error }));
    stale$.subscribe(({ key, staleFor }) =>
      this.#publish(CHANNELS.stale, { key, staleFor }),
    );
  }

  #publish<T extends keyof InvalidationEvents>(
    channel: Channel<unknown, InvalidationEvents[T]>,
    event: Omit<InvalidationEvents[T], keyof EventSender>,
  ): void {
    if (!channel.hasSubscribers) return;
    const { serviceName, origin } = this.instance;
    channel.publish({ serviceName, origin, ...event });
  }
}
