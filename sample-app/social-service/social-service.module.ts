import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { MetricsModule } from '../shared/metrics.module.js';
import { ServiceClient } from '../shared/service.client.js';
import { StatusController } from '../shared/status.controller.js';
import { FeedBuilder } from './feed.builder.js';
import { FeedsController } from './feeds.controller.js';
import { FeedsService } from './feeds.service.js';
import { FollowsService } from './follows.service.js';

/** Keeps feeds, made of users and posts: receives messages about those, and publishes messages about feeds. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheInvalidationModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        connection: config.get<string>('REDIS_URL'),
        channel: config.get<string>('CACHE_INVALIDATION_CHANNEL'),
        serviceName: 'social-service',
      }),
    }),
    MetricsModule,
  ],
  controllers: [FeedsController, StatusController],
  providers: [FollowsService, FeedBuilder, FeedsService, ServiceClient],
})
export class SocialServiceModule {}
