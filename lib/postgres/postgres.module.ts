import { Module } from '@nestjs/common';
import { known } from '../common/index.js';
import { POSTGRES_SOURCE_OPTIONS } from './postgres.constants.js';
import {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
} from './postgres.module-definition.js';
import { resolvePostgresOptions } from './postgres.options.js';
import { PostgresSource } from './postgres-source.js';

/**
 * Announces what changes in PostgreSQL, whoever writes it. Import it beside
 * `CacheInvalidationModule`, in every instance: one announces, the others stand by.
 *
 * @example
 * ```ts
 * CacheInvalidationPostgresModule.forRoot({
 *   connection: process.env.DATABASE_URL,
 *   tables: {
 *     'public.users': 'User',
 *     'public.memberships': {
 *       map: ({ user_id, team_id }) => [
 *         entity('User', String(user_id)),
 *         pattern(`team:${team_id}:*`),
 *       ],
 *       types: ['User', 'team'],
 *     },
 *   },
 * })
 * ```
 * @publicApi
 */
@Module({
  providers: [
    {
      provide: POSTGRES_SOURCE_OPTIONS,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: (given: unknown) => resolvePostgresOptions(known(given)),
    },
    PostgresSource,
  ],
  exports: [PostgresSource],
})
export class CacheInvalidationPostgresModule extends ConfigurableModuleClass {}
