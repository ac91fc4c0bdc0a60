import { columnIn, splitList } from './sql-reader.js';
import { isSign, isWord, type SqlToken } from './sql-tokens.js';
import type { KnownValues } from './sql-value.js';

/**
 * The columns that RETURNING gives back.
 *
 * @internal
 */
export class Returning {
  /** Columns by the name that they have in the result; `null` for expressions. */
  readonly #columns = new Map<string, string | null>();
  /** Columns in the order of the result; `null` for expressions. */
  readonly #order: (string | null)[];
  readonly #isAll: boolean;

  /** @param tokens those after RETURNING */
  constructor(tokens: readonly SqlToken[]) {
    // WITH (OLD AS …) gives both rows under names of the caller's.
    const items = isWord(tokens[0], 'with') ? [] : splitList(tokens);
    this.#isAll = items.length === 1 && isWhole(items[0]!);
    const all = items.findIndex((item) => isSign(item.at(-1), '*'));
    // Nobody knows here how many columns the whole row has.
    this.#order = items
      .slice(0, all < 0 ? items.length : all)
      .map((item) => columnOf(item));
    for (const item of items) {
      const column = columnOf(item);
      if (column === null && !isNamed(item)) {
        // PostgreSQL names it itself, maybe as one of the others.
        this.#columns.clear();
        break;
      }
      this.#columns.set(item.at(-1)!.text!, column);
    }
  }

  /** Values of a row of the result, which is given by column or in order. */
  valuesOf(row: unknown): KnownValues {
    const values = new Map<string, unknown>();
    if (typeof row !== 'object' || row === null) return values;
    for (const [key, value] of Object.entries(row)) {
      const column = Array.isArray(row)
        ? this.#order[Number(key)]
        : (this.#columns.get(key) ?? (this.#isAll ? key : null));
      if (typeof column === 'string' && value !== undefined) {
        values.set(column, value);
      }
    }
    return values;
  }
}

function isNamed(item: readonly SqlToken[]): boolean {
  return isWord(item.at(-2), 'as');
}

function columnOf(item: readonly SqlToken[]): string | null {
  return columnIn(isNamed(item) ? item.slice(0, -2) : item);
}

/** Whether an item is the row as it is afterwards, `*` or `users.*`. */
function isWhole(item: readonly SqlToken[]): boolean {
  return (
    isSign(item.at(-1), '*') &&
    item.length <= 3 &&
    !isWord(item[0], 'old', 'new')
  );
}
