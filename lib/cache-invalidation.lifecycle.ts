import {
  Inject,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from './cache-invalidation.constants.js';
import { NearCacheFactory } from './cache/index.js';
import { StartReport } from './decorators/index.js';
import { InvalidationHandlersExplorer } from './handlers/index.js';
import { PublisherShutdown } from './publisher/index.js';
import { SubscriptionSession } from './subscriber/index.js';

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
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: { readonly describe: boolean },
    private readonly explorer: InvalidationHandlersExplorer,
    private readonly report: StartReport,
    private readonly nearCaches: NearCacheFactory,
    private readonly session: SubscriptionSession,
    private readonly shutdown: PublisherShutdown,
  ) {}

  async onModuleInit(): Promise<void> {
    this.explorer.explore();
    this.report.write(this.options.describe);
    const nearCaches = this.nearCaches.start();
    try {
      await this.session.start();
    } catch (error) {
      this.nearCaches.stop();
      throw error;
    }
    await nearCaches;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.shutdown.run();
    this.nearCaches.stop();
    await this.session.stop();
  }
}
