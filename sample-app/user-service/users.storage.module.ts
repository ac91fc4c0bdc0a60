import { Module } from '@nestjs/common';
import { DatabaseModule } from '../shared/database.module.js';
import { UsersOutbox } from './users.outbox.js';
import { USERS_SCHEMA } from './users.schema.js';
import { UsersSource } from './users.source.js';

/** The tables of users: their rows, and the invalidations to publish. */
@Module({
  imports: [DatabaseModule.forRoot(USERS_SCHEMA)],
  providers: [UsersOutbox, UsersSource],
  exports: [DatabaseModule, UsersOutbox, UsersSource],
})
export class UsersStorageModule {}
