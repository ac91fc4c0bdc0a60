import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { ReadYourWritesInterceptor } from 'nestjs-cache-invalidation/http';
import { MetricsModule } from '../shared/metrics.module.js';
import { regionsFrom } from '../shared/regions.js';
import { ServiceClient } from '../shared/service.client.js';
import { StatusController } from '../shared/status.controller.js';
import { CacheController } from './cache.controller.js';
import { Copies } from './copies.js';
import { GatewayController } from './gateway.controller.js';
import { LiveModule } from './live/live.module.js';
import { UserCopies } from './user.copies.js';

/** The public entry: reads of everything, from two tiers of cache. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheInvalidationModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        connection: config.get<string>('REDIS_URL'),
        channel: config.get<string>('CACHE_INVALIDATION_CHANNEL'),
        regions: regionsFrom(config),
        serviceName: 'gateway',
      }),
    }),
    LiveModule,
    MetricsModule,
  ],
  controllers: [GatewayController, CacheController, StatusController],
  providers: [
    UserCopies,
    Copies,
    ServiceClient,
    { provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor },
  ],
})
export class GatewayModule {}
