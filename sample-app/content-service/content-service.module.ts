import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { ReadYourWritesInterceptor } from 'nestjs-cache-invalidation/http';
import { DatabaseModule } from '../shared/database.module.js';
import { MetricsModule } from '../shared/metrics.module.js';
import { regionsFrom } from '../shared/regions.js';
import { StatusController } from '../shared/status.controller.js';
import { PostsController } from './posts.controller.js';
import { POSTS_SCHEMA } from './posts.schema.js';
import { PostsService } from './posts.service.js';

/** Owns the posts. Publishes, and keeps no copies. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    // Options that are left out here come from the environment.
    CacheInvalidationModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({ regions: regionsFrom(config) }),
    }),
    DatabaseModule.forRoot(POSTS_SCHEMA),
    MetricsModule,
  ],
  controllers: [PostsController, StatusController],
  providers: [
    PostsService,
    // Answers to writes carry the journal offset that a gateway must have applied.
    { provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor },
  ],
})
export class ContentServiceModule {}
