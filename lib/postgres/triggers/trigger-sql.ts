import {
  outboxSql,
  type CapturedTable,
  type TriggerSqlOptions,
} from '../../sql/index.js';
import {
  columnsOf,
  type TableMapping,
  type TableMappings,
} from '../mapping/table-mapping.js';

/**
 * SQL that makes the outbox and the triggers of trigger mode, or renews them. The owner of
 * the mapped tables runs it, again after every change of the option `tables`, of `bulk`,
 * or of a table's partitions. It is one transaction, and waits for open transactions that
 * have written to the tables. The command `postgres sql --mode triggers` prints the same.
 *
 * @example
 * ```ts
 * await pglite.exec(triggerSql({ 'public.users': 'User' }));
 * ```
 * @publicApi
 */
export function triggerSql(
  tables: TableMappings,
  options: TriggerSqlOptions = {},
): string {
  return outboxSql(capturedTables(tables), options);
}

/** Tables with the part of their rows that their mappings need. @internal */
export function capturedTables(tables: TableMappings): CapturedTable[] {
  return Object.entries(tables).map(([name, mapping]) => ({
    name,
    ...captured(mapping),
  }));
}

function captured(mapping: TableMapping): Omit<CapturedTable, 'name'> {
  return typeof mapping === 'string'
    ? { stored: 'keys', columns: null }
    : { stored: 'rows', columns: columnsOf(mapping) };
}
