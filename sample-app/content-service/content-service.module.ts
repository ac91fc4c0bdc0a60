import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { DatabaseModule } from '../shared/database.module.js';
import { StatusController } from '../shared/status.controller.js';
import { PostsController } from './posts.controller.js';
import { POSTS_SCHEMA } from './posts.schema.js';
import { PostsService } from './posts.service.js';

/** Owns the posts. Publishes, and keeps no copies. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheInvalidationModule.forRootAsync(),
    DatabaseModule.forRoot(POSTS_SCHEMA),
  ],
  controllers: [PostsController, StatusController],
  providers: [PostsService],
})
export class ContentServiceModule {}
