import type { ChangeSet } from '../mapping/change-set.js';
import type { Relation } from '../mapping/relation.js';
import type { RowImage } from '../mapping/row-view.js';
import { TableMapper, type MapperListener } from '../mapping/table-mapper.js';
import type { TableMapping } from '../mapping/table-mapping.js';
import type { CatalogTable } from './capture-catalog.js';
import { knownRows, type KnownRow } from './known-rows.js';
import { storedText } from './sql-value.js';
import type { SqlWrite } from './sql-write.js';

/**
 * A mapped table, whose rows are mapped as those that the log of the database has.
 *
 * @internal
 */
export class CapturedTable {
  readonly #relation: Relation;
  readonly #mapper: TableMapper;

  constructor(
    name: string,
    mapping: TableMapping,
    private readonly table: CatalogTable,
    listener: MapperListener,
  ) {
    this.#relation = {
      kind: 'relation',
      oid: 0,
      name,
      identity: 'f',
      columns: table.columns.map((column) => ({
        name: column.name,
        type: column.type,
        modifier: -1,
        isIdentity: true,
      })),
    };
    this.#mapper = new TableMapper(
      mapping,
      this.#relation,
      table.key,
      listener,
    );
  }

  /** @param result what RETURNING gave; `null` if it is not there */
  add(
    write: SqlWrite,
    result: readonly unknown[] | null,
    changes: ChangeSet,
  ): void {
    const rows = knownRows(write, result, this.table.generated);
    const images = rows.map((row) => this.#imageOf(row));
    this.#mapper.add({ images, isOldUnknown: false }, changes);
  }

  #imageOf({ sent, stored }: KnownRow): RowImage {
    const { columns } = this.table;
    const text = (index: number) => {
      const { name, type, isExact } = columns[index]!;
      if (stored.has(name)) return storedText(stored.get(name), type, true);
      // An equal value may be written in another way.
      return isExact && sent.has(name)
        ? storedText(sent.get(name), type, false)
        : undefined;
    };
    return {
      relation: this.#relation,
      tuple: { text },
      isIdentityOnly: false,
      before: null,
    };
  }
}
