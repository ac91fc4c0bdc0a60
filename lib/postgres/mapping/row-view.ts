import pg from 'pg';
import type { Relation } from './relation.js';
import type { PostgresRow } from './table-mapping.js';

/** @internal */
export interface RowValues {
  /** The value of a column as text; `undefined` if it is not known. */
  text(column: number): string | null | undefined;
}

/** The values of a row that are known. @internal */
export interface RowImage {
  readonly relation: Relation;
  readonly tuple: RowValues;
  /** Whether only the columns of the replica identity are known. */
  readonly isIdentityOnly: boolean;
  /** The whole row before, for large values that have not changed. */
  readonly before: RowValues | null;
}

/** The value of a column as text; `undefined` if it is not known. @internal */
export function textIn(
  { relation, tuple, isIdentityOnly, before }: RowImage,
  column: number,
): string | null | undefined {
  if (isIdentityOnly && relation.columns[column]?.isIdentity !== true) {
    return undefined;
  }
  const text = tuple.text(column);
  return text === undefined ? before?.text(column) : text;
}

/**
 * A row for a mapper, which notes the columns that are read.
 *
 * @internal
 */
export class RowView {
  /** Whether a column was read whose value is not known. */
  isIncomplete = false;
  /** Whether a column was read that the replica identity does not have. */
  readsBeyondIdentity = false;
  readonly row: PostgresRow;
  readonly #columns: ReadonlyMap<string, number>;

  constructor(
    private readonly image: RowImage,
    columns: ReadonlyMap<string, number>,
  ) {
    this.#columns = columns;
    const names = [...columns.keys()];
    // A target without properties of its own: every access is seen.
    this.row = new Proxy<Record<string, unknown>>(Object.create(null), {
      get: (_, name) => this.#read(name),
      has: (_, name) => typeof name === 'string' && columns.has(name),
      ownKeys: () => names,
      getOwnPropertyDescriptor: (_, name) =>
        typeof name === 'string' && columns.has(name)
          ? {
              value: this.#read(name),
              enumerable: true,
              configurable: true,
              writable: false,
            }
          : undefined,
      set: () => false,
      defineProperty: () => false,
      deleteProperty: () => false,
    });
  }

  #read(name: string | symbol): unknown {
    if (typeof name === 'symbol') return undefined;
    const column = this.#columns.get(name);
    if (column === undefined) {
      // Another column, or one of a later definition of the table.
      this.isIncomplete = true;
      return undefined;
    }
    const { type, isIdentity } = this.image.relation.columns[column]!;
    if (!isIdentity) this.readsBeyondIdentity = true;
    const text = textIn(this.image, column);
    if (text === undefined) this.isIncomplete = true;
    if (typeof text !== 'string') return text;
    const parse: (text: string) => unknown = pg.types.getTypeParser(
      type,
      'text',
    );
    return parse(text);
  }
}
