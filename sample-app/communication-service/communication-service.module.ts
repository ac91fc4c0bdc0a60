import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { MetricsModule } from '../shared/metrics.module.js';
import { ServiceClient } from '../shared/service.client.js';
import { StatusController } from '../shared/status.controller.js';
import { NotificationCache } from './notification.cache.js';
import { NotificationsController } from './notifications.controller.js';
import { NotificationsService } from './notifications.service.js';
import { ProfileWatcher } from './profile.watcher.js';

/** Owns the notifications, and writes one to each user whose profile was changed. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheInvalidationModule.forRootAsync(),
    MetricsModule,
  ],
  controllers: [NotificationsController, StatusController],
  providers: [
    NotificationsService,
    NotificationCache,
    ProfileWatcher,
    ServiceClient,
  ],
})
export class CommunicationServiceModule {}
