import { Module } from '@nestjs/common';
import { DatabaseModule } from '../shared/database.module.js';
import { UsersOutbox } from './users.outbox.js';
import { USERS_SCHEMA } from './users.schema.js';

/** The tables of users: rows, and what is to be said about them. */
@Module({
  imports: [DatabaseModule.forRoot(USERS_SCHEMA)],
  providers: [UsersOutbox],
  exports: [DatabaseModule, UsersOutbox],
})
export class UsersStorageModule {}
