import { columnIn, splitList } from './sql-reader.js';
import { isSign, isWord, type SqlToken } from './sql-tokens.js';
import type { KnownValues } from './sql-value.js';

/**
 * The columns that RETURNING gives back.
 *
 * @internal
 */
export class Returning {
  /** Columns by the name that they have in the result. */
  readonly #columns = new Map<string, string>();
  /** Columns in the order of the result; `null` for expressions. */
  readonly #order: (string | null)[] = [];
  readonly #isAll: boolean;

  /** @param tokens those after RETURNING */
  constructor(tokens: readonly SqlToken[]) {
    // WITH (OLD AS …) gives both rows under names of the caller's.
    const items = isWord(tokens[0], 'with') ? [] : splitList(tokens);
    this.#isAll = items.length === 1 && isSign(items[0]!.at(-1), '*');
    for (const item of items) {
      const isNamed = isWord(item.at(-2), 'as');
      const column = columnIn(isNamed ? item.slice(0, -2) : item);
      this.#order.push(column);
      if (column !== null) this.#columns.set(item.at(-1)!.text!, column);
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
