import type { EntityType, Invalidation } from '../../message/index.js';

/**
 * A row as node-postgres reads it: by column, with its type parsers. A value of the old
 * row of an update or a delete is there only if the table's replica identity has it.
 *
 * @publicApi
 */
export type PostgresRow = Readonly<Record<string, unknown>>;

/**
 * Maps a row to what it invalidates. It must be pure, since it is called for the new and
 * the old row, and again for a transaction that is sent twice. Whenever it reads a column
 * whose value is not known, or throws, the types of its table are invalidated instead.
 *
 * @publicApi
 */
export type RowMapper = (
  row: PostgresRow,
) => Invalidation | readonly Invalidation[] | null | undefined;

/** A mapper, and the entity types that it may return. @publicApi */
export interface MappedTable {
  readonly map: RowMapper;
  /**
   * Entity types that are invalidated where the rows are not known: TRUNCATE, very many
   * rows, a changed definition, a lost slot. Name every type that `map` can return, those
   * of its patterns included.
   *
   * @default everything is invalidated
   */
  readonly types?: readonly EntityType[];
  /**
   * Columns that `map` reads. In trigger mode only these are stored in the outbox.
   *
   * @default all columns
   */
  readonly columns?: readonly string[];
}

/**
 * An entity type, whose id is the primary key (of several columns: joined by `:` in the
 * order of the key); or a mapper.
 *
 * @publicApi
 */
export type TableMapping = EntityType | RowMapper | MappedTable;

/** Mappings by table, with schema: `'public.users'`. @publicApi */
export type TableMappings = Readonly<Record<string, TableMapping>>;

/** Entity types of a table; `null` for all. @internal */
export function typesOf(mapping: TableMapping): readonly EntityType[] | null {
  if (typeof mapping === 'string') return [mapping];
  return typeof mapping === 'function' ? null : (mapping.types ?? null);
}

/** Columns that a mapper reads; `null` for all. @internal */
export function columnsOf(mapping: TableMapping): readonly string[] | null {
  return typeof mapping === 'object' ? (mapping.columns ?? null) : null;
}

/** The text of a mapping, equal for equal mappings. @internal */
export function textOf(mapping: TableMapping): string {
  if (typeof mapping === 'string') return mapping;
  if (typeof mapping === 'function') return mapping.toString();
  return `${mapping.types?.join() ?? ''} ${mapping.map.toString()}`;
}
