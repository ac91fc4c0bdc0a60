/**
 * Changes in PostgreSQL as a source of invalidations.
 *
 * @module postgres
 */
export type { CaptureOptions } from './capture/capture.options.js';
export { captureDrizzle, type DrizzleLike } from './capture/capture-drizzle.js';
export {
  captureKysely,
  type KyselyLike,
  type KyselyPluginLike,
} from './capture/capture-kysely.js';
export {
  captureMikroOrm,
  type CapturedEntityManager,
} from './capture/capture-mikro-orm.js';
export {
  capturePrisma,
  type PrismaAdapterLike,
} from './capture/capture-prisma.js';
export {
  captureTypeOrm,
  type CapturedDataSource,
} from './capture/capture-typeorm.js';
export { InvalidationPostgresError } from './postgres.error.js';
export { MalformedWalError } from './wal/malformed-wal.error.js';
export { CacheInvalidationPostgresModule } from './postgres.module.js';
export type {
  CacheInvalidationPostgresOptions,
  CacheInvalidationPostgresOptionsFactory,
} from './postgres.options.js';
export type { PostgresConnection } from './postgres-client.js';
export {
  PostgresSource,
  type PostgresSourceStatus,
} from './postgres-source.js';
export type { PostgresWidening } from './source-log.js';
export type { SourceWidening } from './wal/source-place.js';
export type { TableWidening } from './mapping/table-mapper.js';
export type {
  PostgresDatabase,
  PostgresTransaction,
} from './triggers/trigger-database.js';
export { triggerSql } from './triggers/trigger-sql.js';
export { dropTriggerSql, type TriggerSqlOptions } from '../sql/index.js';
export type {
  MappedTable,
  PostgresRow,
  RowMapper,
  TableMapping,
  TableMappings,
} from './mapping/table-mapping.js';
export {
  announceInTransaction,
  markAsAnnounced,
} from './wal/announce-in-transaction.js';
export type { RunInTransaction } from './run-in-transaction.js';
export { announceInOutbox } from './triggers/announce-in-outbox.js';
export {
  postgresPosition,
  type PostgresQueries,
} from './replica/postgres-position.js';
export {
  postgresReplica,
  type PostgresReadPool,
  type PostgresReplicaOptions,
} from './replica/postgres-replica.js';
