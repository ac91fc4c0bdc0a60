import { quoteIdentifier, quoteLiteral } from '../../common/index.js';
import { outboxSql, type TriggerSqlOptions } from '../../sql/index.js';
import type { PostgresNames } from './postgres-settings.js';
import type { TriggerNames } from './trigger-settings.js';

/**
 * SQL that prepares a database for a source of invalidations. Whatever needs a restart, a
 * decision or a transaction of its own is a comment, so that the text runs as it is.
 *
 * @param user the role that the services connect as
 * @internal
 */
export function setupSql(
  { tables, slot, publication }: PostgresNames,
  user: string,
): string {
  const role = quoteIdentifier(user);
  return `-- PostgreSQL as a source of invalidations (mode WAL), PostgreSQL 12 to 18.
-- Run it in the database of the tables, as their owner and a superuser; on a managed
-- server, as its administrator: docs/postgres.md says how each of them does the same.

-- 1. The log must hold rows. If SHOW wal_level does not say "logical": run this, and
--    RESTART the server. It writes somewhat more log from then on.
-- ALTER SYSTEM SET wal_level = 'logical';

-- 2. A bound for the log that is kept for a slot which nobody reads. Without one, a
--    forgotten slot FILLS THE DISK. Beyond it the slot is lost: the next holder
--    invalidates the mapped types once. Give what the disk can spare (PostgreSQL 13+).
-- ALTER SYSTEM SET max_slot_wal_keep_size = '10GB';
-- SELECT pg_reload_conf();

-- 3. The role of the services. Give it its password by \\password, so that no file has it.
--    It has to SELECT nothing but the catalog, which every role may: rows come from the
--    log. pg_hba.conf must admit it to this database.
CREATE ROLE ${role} LOGIN REPLICATION;
-- If it exists: ALTER ROLE ${role} REPLICATION;
-- RDS and Aurora: CREATE ROLE ${role} LOGIN; GRANT rds_replication TO ${role};

-- 4. The publication: the rows that are announced.
${publicationSql(tables, publication)}
-- A table without a primary key: ALTER TABLE … REPLICA IDENTITY FULL, or its updates and
-- deletes fail from now on. A mapper that reads old values of other columns needs it, too.

-- 5. The slot. The first instance creates it. To create it yourself, do so after the
--    publication, and when the services are about to start: from then on it keeps log.
-- SELECT pg_create_logical_replication_slot(${quoteLiteral(slot)}, 'pgoutput');

-- To check: npx nestjs-cache-invalidation doctor --postgres URL
-- To undo:  npx nestjs-cache-invalidation postgres drop --postgres URL`;
}

/** SQL of a source by triggers, with what its reader should know. @internal */
export function triggerSetupSql(
  { tables, outbox, bulk }: TriggerNames,
  options: Pick<TriggerSqlOptions, 'role' | 'wakeUp'>,
): string {
  const role =
    options.role === undefined
      ? '\n-- Services that connect as another role need rights to the outbox: give --user.'
      : '';
  return `-- PostgreSQL as a source of invalidations (mode triggers), PostgreSQL 12 to 18.
-- Run it as the owner of the tables, again after each change of the option tables, of
-- bulk, or of a table's partitions. It waits for open transactions that have written to
-- the tables, and new ones wait for it.
-- Each statement on one of the tables writes what it has changed into the outbox, in its
-- transaction. An outbox that nobody empties GROWS.${role}
${outboxSql(tables, { outbox, bulk, ...options })}
-- To check: npx nestjs-cache-invalidation doctor --postgres URL --mode triggers --tables …
-- To undo:  npx nestjs-cache-invalidation postgres drop --postgres URL --mode triggers`;
}

function publicationSql(
  tables: readonly string[],
  publication: string,
): string {
  const name = quoteIdentifier(publication);
  if (tables.length === 0) {
    return `--    Give --tables public.users,public.memberships to have it here.
-- CREATE PUBLICATION ${name} FOR TABLE …
--   WITH (publish_via_partition_root = true);`;
  }
  return `--    PostgreSQL 12 does not know the option: leave out WITH (…).
CREATE PUBLICATION ${name} FOR TABLE ${tables.map(tableName).join(', ')}
  WITH (publish_via_partition_root = true);`;
}

/** Quotes `schema.table`. @internal */
export function tableName(table: string): string {
  const dot = table.indexOf('.');
  return `${quoteIdentifier(table.slice(0, dot))}.${quoteIdentifier(table.slice(dot + 1))}`;
}
