import { Module } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { InvalidationSubscriber } from 'nestjs-cache-invalidation';
import { RedisLink } from '../../shared/operations/redis.link.js';
import { ServiceClient } from '../../shared/service.client.js';
import { CutCopies } from './cut.copies.js';
import { DocsController } from './docs.controller.js';
import { LiveController } from './live.controller.js';
import { LiveFeed } from './live.feed.js';
import { MessageTape } from './message.tape.js';
import { OperatorController } from './operator.controller.js';
import { PageBus } from './page.bus.js';
import { PageController } from './page.controller.js';
import { ServicesWatch } from './services.watch.js';

/** The live page: its files, its feed, and the actions of its buttons. */
@Module({
  controllers: [
    PageController,
    DocsController,
    LiveController,
    OperatorController,
  ],
  providers: [
    CutCopies,
    LiveFeed,
    MessageTape,
    ServicesWatch,
    ServiceClient,
    {
      provide: PageBus,
      inject: [
        InvalidationSubscriber,
        ConfigService,
        { token: RedisLink, optional: true },
      ],
      useFactory: (
        own: InvalidationSubscriber,
        config: ConfigService,
        link?: RedisLink,
      ) =>
        link === undefined
          ? PageBus.of(own)
          : PageBus.open({
              connection: link.target.href,
              channel: config.get<string>('CACHE_INVALIDATION_CHANNEL'),
            }),
    },
  ],
})
export class LiveModule {}
