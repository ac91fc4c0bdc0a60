import { Module } from '@nestjs/common';
import { CacheInvalidationPostgresModule } from 'nestjs-cache-invalidation/postgres';
import { SourceController } from './source.controller.js';
import { UsersSource } from './users.source.js';
import { UsersStorageModule } from './users.storage.module.js';

/** Announces changes of users that pass no decorator, such as those of psql. */
@Module({
  imports: [
    UsersStorageModule,
    CacheInvalidationPostgresModule.forRootAsync({
      imports: [UsersStorageModule],
      useExisting: UsersSource,
    }),
  ],
  controllers: [SourceController],
})
export class UsersSourceModule {}
