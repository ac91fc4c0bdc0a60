import {
  Inject,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from './cache-invalidation.constants.js';
import { NearCacheFactory } from './cache/index.js';
import type { InvalidationRole } from './common/index.js';
import { StartReport } from './decorators/index.js';
import { InvalidationHandlersExplorer } from './handlers/index.js';
import { PublisherShutdown } from './publisher/index.js';
import { RegionRelays } from './regions/index.js';
import { PublishingSession, SubscriptionSession } from './subscriber/index.js';

/**
 * Starts the parts of the module with the application, and stops them with it, in
 * order.
 *
 * @internal
 */
@Injectable()
export class CacheInvalidationLifecycle
  implements OnModuleInit, OnApplicationShutdown
{
  readonly #session: SubscriptionSession | PublishingSession;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    options: { readonly role: InvalidationRole },
    private readonly explorer: InvalidationHandlersExplorer,
    private readonly report: StartReport,
    private readonly nearCaches: NearCacheFactory,
    subscription: SubscriptionSession,
    publishing: PublishingSession,
    private readonly shutdown: PublisherShutdown,
    private readonly relays: RegionRelays,
  ) {
    this.#session = options.role === 'publisher' ? publishing : subscription;
  }

  async onModuleInit(): Promise<void> {
    this.explorer.explore();
    this.report.write();
    const nearCaches = this.nearCaches.start();
    try {
      await this.#session.start();
    } catch (error) {
      this.nearCaches.stop();
      throw error;
    }
    this.relays.start();
    await nearCaches;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.relays.stop();
    await this.shutdown.run();
    this.nearCaches.stop();
    await this.#session.stop();
  }
}
