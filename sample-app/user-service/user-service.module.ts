import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { DatabaseModule } from '../shared/database.module.js';
import { StatusController } from '../shared/status.controller.js';
import { USERS_SCHEMA } from './users.schema.js';
import { UsersController } from './users.controller.js';
import { UsersService } from './users.service.js';

/** Owns the users. Publishes, and keeps no copies. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    // REDIS_URL and CACHE_INVALIDATION_* of the environment.
    CacheInvalidationModule.forRootAsync(),
    DatabaseModule.forRoot(USERS_SCHEMA),
  ],
  controllers: [UsersController, StatusController],
  providers: [UsersService],
})
export class UserServiceModule {}
