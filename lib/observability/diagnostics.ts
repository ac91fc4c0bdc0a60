import { Injectable } from '@nestjs/common';
import type { Channel } from 'node:diagnostics_channel';
import type { InvalidationSubscriber } from '../subscriber/index.js';
import type { CacheAuditor } from '../audit/index.js';
import {
  CHANNELS,
  type InvalidationEvents,
  type EventSender,
} from './diagnostics.channels.js';

/**
 * Says on Node's diagnostics channels what happens off the hot path; the rest
 * is said where it is counted.
 *
 * @internal
 */
@Injectable()
export class Diagnostics {
  constructor(
    private readonly sender: EventSender,
    { status$, errors$ }: Pick<InvalidationSubscriber, 'status$' | 'errors$'>,
    { stale$ }: Pick<CacheAuditor, 'stale$'>,
  ) {
    status$.subscribe(({ state, reason }) =>
      this.#say(CHANNELS.status, { state, reason }),
    );
    errors$.subscribe((error) => this.#say(CHANNELS.error, { error }));
    stale$.subscribe(({ key, staleFor }) =>
      this.#say(CHANNELS.stale, { key, staleFor }),
    );
  }

  #say<T extends keyof InvalidationEvents>(
    channel: Channel<unknown, InvalidationEvents[T]>,
    said: Omit<InvalidationEvents[T], keyof EventSender>,
  ): void {
    if (!channel.hasSubscribers) return;
    const { serviceName, origin } = this.sender;
    channel.publish({ serviceName, origin, ...said });
  }
}
