import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { ServiceClient } from '../shared/service.client.js';
import { StatusController } from '../shared/status.controller.js';
import { CacheController } from './cache.controller.js';
import { GatewayController } from './gateway.controller.js';
import { L2Client } from './l2.client.js';
import { L2Store } from './l2.store.js';
import { TieredCache } from './tiered.cache.js';

/** What the world talks to: reads of everything, from two layers of cache. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheInvalidationModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        connection: config.get<string>('REDIS_URL'),
        channel: config.get<string>('CACHE_INVALIDATION_CHANNEL'),
        serviceName: 'gateway',
      }),
    }),
  ],
  controllers: [GatewayController, CacheController, StatusController],
  providers: [TieredCache, L2Store, L2Client, ServiceClient],
})
export class GatewayModule {}
