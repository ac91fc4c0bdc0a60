import { Controller, Get, Optional } from '@nestjs/common';
import {
  InvalidationHealth,
  InvalidationStats,
  InvalidationSubscriber,
  NearCacheFactory,
  type SubscriptionState,
} from 'nestjs-cache-invalidation';
import { RedisLink } from './redis.link.js';
import type { PastState, ServiceState } from './service.state.js';

/** A loss and its recovery: live, disconnected, catching-up, live. */
const KEPT = 4;

/** Everything that a service knows about its invalidations, for the live page. */
@Controller()
export class StateController {
  readonly #states: { state: SubscriptionState; since: number }[] = [];

  constructor(
    private readonly health: InvalidationHealth,
    private readonly statistics: InvalidationStats,
    private readonly caches: NearCacheFactory,
    { status$ }: InvalidationSubscriber,
    @Optional() private readonly link?: RedisLink,
  ) {
    status$.subscribe(({ state }) => this.#entered(state));
  }

  @Get('state')
  state(): ServiceState {
    return {
      health: this.health.check(),
      stats: this.statistics.snapshot(),
      caches: Object.fromEntries(this.caches.stats()),
      states: this.#states.map((_, index) => this.#past(index)),
      link: this.link === undefined ? null : this.link.isCut ? 'cut' : 'up',
    };
  }

  #entered(state: SubscriptionState): void {
    // The state is the same, and only the reason has changed.
    if (this.#states.at(-1)?.state === state) return;
    this.#states.push({ state, since: performance.now() });
    if (this.#states.length > KEPT) this.#states.shift();
  }

  #past(index: number): PastState {
    const { state, since } = this.#states[index]!;
    const until = this.#states[index + 1]?.since ?? performance.now();
    return { state, for: until - since };
  }
}
