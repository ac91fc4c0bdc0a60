import { Module } from '@nestjs/common';
import { ConditionalModule, ConfigModule, ConfigService } from '@nestjs/config';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { ReadYourWritesInterceptor } from 'nestjs-cache-invalidation/http';
import { MetricsModule } from '../shared/metrics.module.js';
import { regionsFrom } from '../shared/regions.js';
import { StatusController } from '../shared/status.controller.js';
import { UsersController } from './users.controller.js';
import { UsersOutbox } from './users.outbox.js';
import { UsersService } from './users.service.js';
import { UsersSourceModule } from './users.source.module.js';
import { UsersStorageModule } from './users.storage.module.js';

/** Owns the users. Publishes, and keeps no copies. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheInvalidationModule.forRootAsync({
      imports: [UsersStorageModule],
      inject: [ConfigService, UsersOutbox],
      useFactory: (config: ConfigService, durableOutbox: UsersOutbox) => ({
        connection: config.get<string>('REDIS_URL'),
        channel: config.get<string>('CACHE_INVALIDATION_CHANNEL'),
        regions: regionsFrom(config),
        serviceName: 'user-service',
        durableOutbox,
      }),
    }),
    UsersStorageModule,
    ConditionalModule.registerWhen(
      UsersSourceModule,
      (env) => env['SAMPLE_APP_SOURCE'] !== 'off',
    ),
    MetricsModule,
  ],
  controllers: [UsersController, StatusController],
  providers: [
    UsersService,
    // Answers to writes carry the journal offset that a gateway must have applied.
    { provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor },
  ],
})
export class UserServiceModule {}
