/**
 * Changes in PostgreSQL as a source of invalidations.
 *
 * @module postgres
 */
export { InvalidationPostgresError } from './postgres.error.js';
export { MalformedWalError } from './malformed-wal.error.js';
export { CacheInvalidationPostgresModule } from './postgres.module.js';
export type {
  CacheInvalidationPostgresOptions,
  CacheInvalidationPostgresOptionsFactory,
} from './postgres.options.js';
export type { PostgresConnection } from './postgres-client.js';
export {
  PostgresSource,
  type PostgresSourceState,
  type PostgresSourceStatus,
} from './postgres-source.js';
export type { PostgresWidening } from './source-log.js';
export type { SourceWidening } from './source-place.js';
export type { TableWidening } from './table-mapper.js';
export type {
  PostgresDatabase,
  PostgresTransaction,
} from './trigger-database.js';
export {
  dropTriggerSql,
  triggerSql,
  type TriggerSqlOptions,
} from './trigger-sql.js';
export type {
  MappedTable,
  PostgresRow,
  RowMapper,
  TableMapping,
  TableMappings,
} from './table-mapping.js';
