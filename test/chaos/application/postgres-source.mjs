import {
  CacheInvalidationPostgresModule,
  PostgresSource,
} from 'nestjs-cache-invalidation/postgres';
import { mappings } from '../postgres/tables.mjs';

/** The module of an application, if rows are in PostgreSQL. @param source options */
export function sourceModules(source) {
  return source === undefined
    ? []
    : [
        CacheInvalidationPostgresModule.forRoot({
          ...source,
          tables: mappings(),
        }),
      ];
}

/** The source's status, as another process can have it; `null` without a source. */
export function sourceStatus(nest) {
  const source = nest.get(PostgresSource, { strict: false, optional: true });
  if (!source) return null;
  const { fault, ...status } = source.status();
  return { ...status, fault: fault?.message ?? null };
}
