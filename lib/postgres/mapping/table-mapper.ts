import {
  checkInvalidation,
  type EntityType,
  type Invalidation,
} from '../../message/index.js';
import type { ChangeSet } from './change-set.js';
import type { Relation } from './relation.js';
import { RowView, textIn, type RowImage } from './row-view.js';
import {
  typesOf,
  type RowMapper,
  type TableMapping,
  type TableMappings,
} from './table-mapping.js';

/**
 * Why the types of a table are invalidated in the place of its rows.
 *
 * - `truncate`: the table was truncated
 * - `bulk`: one transaction changed more than `bulk` keys of one type
 * - `columns`: a value that the mapping needs is not in the replica identity
 * - `mapper`: the mapper threw, or returned no invalidation
 * - `definition`: the table's definition changed
 * - `message`: an announcement in the transaction cannot be read; everything is invalidated
 *
 * @publicApi
 */
export type TableWidening =
  'truncate' | 'bulk' | 'columns' | 'mapper' | 'definition' | 'message';

/** @internal */
export interface MapperListener {
  /** @param table `null` for several */
  onWidened(cause: TableWidening, table: string | null): void;
  /** @param problem a noun phrase without any value of the row */
  onMapperFailed(table: string, problem: string): void;
}

/** The rows that one change tells of. @internal */
export interface RowChange {
  readonly images: readonly RowImage[];
  /** Whether an old row differs at most in columns beyond its replica identity. */
  readonly isOldUnknown: boolean;
}

/**
 * Adds what the rows of one table invalidate, as the relation describes them.
 *
 * @internal
 */
export class TableMapper {
  readonly #columns: ReadonlyMap<string, number>;
  /** Columns of the primary key, in its order; `null` if they are not all there. */
  readonly #key: readonly number[] | null;

  constructor(
    private readonly mapping: TableMapping,
    readonly relation: Relation,
    /** Names of the columns of the primary key, in its order. */
    key: readonly string[],
    private readonly listener: MapperListener,
  ) {
    this.#columns = new Map(
      relation.columns.map(({ name }, index) => [name, index]),
    );
    const columns = key.map((name) => this.#columns.get(name) ?? -1);
    this.#key = columns.length > 0 && !columns.includes(-1) ? columns : null;
  }

  add(change: RowChange, changes: ChangeSet): void {
    const { mapping } = this;
    const unknown =
      typeof mapping === 'string'
        ? this.#addKeys(mapping, change, changes)
        : this.#addMapped(
            typeof mapping === 'function' ? mapping : mapping.map,
            change,
            changes,
          );
    if (unknown !== null) this.widen(unknown, changes);
  }

  widen(cause: TableWidening, changes: ChangeSet): void {
    this.listener.onWidened(cause, this.relation.name);
    widenTable(this.mapping, changes);
  }

  #addKeys(
    type: EntityType,
    { images, isOldUnknown }: RowChange,
    changes: ChangeSet,
  ): TableWidening | null {
    const key = this.#key;
    if (key === null) return 'columns';
    const { columns } = this.relation;
    if (isOldUnknown && !key.every((column) => columns[column]!.isIdentity)) {
      return 'columns';
    }
    for (const image of images) {
      const parts = key.map((column) => textIn(image, column));
      const id = parts.join(':');
      const isKnown = parts.every((part) => typeof part === 'string');
      if (!isKnown || id === '') return 'columns';
      changes.addEntity(type, id);
    }
    return null;
  }

  #addMapped(
    map: RowMapper,
    { images, isOldUnknown }: RowChange,
    changes: ChangeSet,
  ): TableWidening | null {
    for (const image of images) {
      const view = new RowView(image, this.#columns);
      let mapped: Invalidation[];
      try {
        mapped = checked(map(view.row));
      } catch (error) {
        // A mapper may well throw for a value that is not known.
        if (view.isIncomplete) return 'columns';
        this.listener.onMapperFailed(this.relation.name, nameOf(error));
        return 'mapper';
      }
      const isUnknown =
        view.isIncomplete || (isOldUnknown && view.readsBeyondIdentity);
      if (isUnknown) return 'columns';
      for (const invalidation of mapped) changes.add(invalidation);
    }
    return null;
  }
}

/** Adds the types of a table, or everything. @internal */
export function widenTable(mapping: TableMapping, changes: ChangeSet): void {
  const types = typesOf(mapping);
  if (types === null) changes.widenToEverything();
  else for (const type of types) changes.widen(type);
}

/** Adds the types of all tables. @internal */
export function widenTables(tables: TableMappings, changes: ChangeSet): void {
  for (const mapping of Object.values(tables)) widenTable(mapping, changes);
}

function checked(mapped: ReturnType<RowMapper>): Invalidation[] {
  if (mapped === null || mapped === undefined) return [];
  // A promise is refused below; its own error must not end the process.
  if (mapped instanceof Promise) mapped.catch(() => null);
  const list = Array.isArray(mapped) ? mapped : [mapped];
  return list.map((each: Invalidation) => checkInvalidation(each));
}

/** The class of an error: its message may have values of the row. */
function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
