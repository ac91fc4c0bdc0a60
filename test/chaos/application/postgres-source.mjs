import {
  CacheInvalidationPostgresModule,
  PostgresSource,
} from 'nestjs-cache-invalidation/postgres';
import { mappings } from '../postgres/tables.mjs';

/**
 * The module of an application, if rows are in PostgreSQL.
 *
 * @param source options, and `types` that it maps, by default all
 */
export function sourceModules(source) {
  if (source === undefined) return [];
  const { types, ...options } = source;
  return [
    CacheInvalidationPostgresModule.forRoot({
      ...options,
      tables: mappings(types),
    }),
  ];
}

/** The source's status, as another process can have it. */
export function sourceStatus(nest) {
  const source = nest.get(PostgresSource, { strict: false });
  const { fault, ...status } = source.status();
  return { ...status, fault: fault?.message ?? null };
}
