import { checkEntityType } from '../message/index.js';
import type { MappedTable } from './mapping/table-mapping.js';
import type { PostgresDatabase } from './triggers/trigger-database.js';

/** Options that the rules of others depend on. */
interface DatabaseOptions {
  readonly mode?: unknown;
  readonly database?: unknown;
}

/** @internal */
export function isConnection(value: unknown, options: object): boolean {
  const { database } = options as DatabaseOptions;
  if (value === undefined) return database !== undefined;
  if (typeof value === 'string') return /^postgres(ql)?:\/\//.test(value);
  // A URL has none of node-postgres' options: it would lead to the local server.
  return typeof value === 'object' && value !== null && !(value instanceof URL);
}

/** @internal */
export function isDatabase(value: unknown, options: object): boolean {
  if (value === undefined) return true;
  const { query, transaction } = (value ?? {}) as Partial<PostgresDatabase>;
  const { mode } = options as DatabaseOptions;
  return (
    typeof query === 'function' &&
    typeof transaction === 'function' &&
    mode === 'triggers'
  );
}

/** @internal */
export function isMode(value: unknown): boolean {
  return value === 'wal' || value === 'triggers';
}

/** @internal */
export function isTables(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const tables = Object.entries(value);
  return (
    tables.length > 0 &&
    tables.every(
      ([table, mapping]) => /^[^.]+\.[^.]+$/.test(table) && isMapping(mapping),
    )
  );
}

function isMapping(value: unknown): boolean {
  if (typeof value === 'function') return true;
  if (typeof value === 'string') return isType(value);
  const {
    map,
    types = [],
    columns = [],
    ...others
  } = (value ?? {}) as Partial<MappedTable>;
  return (
    typeof map === 'function' &&
    Array.isArray(types) &&
    types.every(isType) &&
    Array.isArray(columns) &&
    columns.every((column) => typeof column === 'string') &&
    Object.keys(others).length === 0
  );
}

function isType(value: unknown): boolean {
  try {
    return checkEntityType(value as string) === value;
  } catch {
    return false;
  }
}
