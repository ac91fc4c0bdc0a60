/**
 * Rows in columns as wide as their widest cell, numbers to the right. Cells must not
 * hold colours, which have no width.
 *
 * @internal
 */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => String(row[column]).length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => align(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function align(cell: string | number, width: number): string {
  return typeof cell === 'number'
    ? String(cell).padStart(width)
    : cell.padEnd(width);
}
