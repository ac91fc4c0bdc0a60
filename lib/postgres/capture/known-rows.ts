import type { SqlWrite } from './sql-write.js';
import type { KnownValues } from './sql-value.js';

/** A row before or after a write, as far as it is known. @internal */
export interface KnownRow {
  /** Values that were sent. */
  readonly sent: KnownValues;
  /** Values that PostgreSQL returned. */
  readonly stored: KnownValues;
}

/**
 * The rows of a write, before and after it.
 *
 * @param result what RETURNING gave; `null` if it is not there
 * @param generated columns that follow from others
 * @internal
 */
export function knownRows(
  write: SqlWrite,
  result: readonly unknown[] | null,
  generated: ReadonlySet<string>,
): KnownRow[] {
  const { rows, changed, assigned, returning } = write;
  const isChanged = (column: string) =>
    changed.has(column) || generated.has(column);
  const imagesOf = (sent: KnownValues, stored: KnownValues): KnownRow[] => {
    if (changed.size === 0) return [{ sent, stored }];
    const kept = without(sent, isChanged);
    return [
      { sent, stored: without(stored, isChanged) },
      { sent: new Map([...kept, ...assigned]), stored },
    ];
  };
  if (returning === null || result === null) {
    return rows.flatMap((row) => imagesOf(row, new Map()));
  }
  return result.flatMap((row, index) => {
    // VALUES and RETURNING have the same order. Conditions have none.
    const isEach = write.kind === 'insert' && rows.length === result.length;
    const sent = isEach ? rows[index] : rows.length === 1 ? rows[0] : null;
    return imagesOf(sent ?? new Map(), returning.valuesOf(row));
  });
}

function without(
  values: KnownValues,
  isLeftOut: (column: string) => boolean,
): KnownValues {
  return new Map([...values].filter(([column]) => !isLeftOut(column)));
}
