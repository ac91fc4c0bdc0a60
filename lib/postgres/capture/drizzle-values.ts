/** A column or an expression of Drizzle, and its place in the objects that it makes. @internal */
export interface DrizzleField {
  readonly path: readonly string[];
  readonly field: { mapToDriverValue?(value: unknown): unknown };
}

/** Drizzle's name of a class, on the class. */
const KIND = Symbol.for('drizzle:entityKind');

/**
 * Parameters of a prepared query with the values of its placeholders, as Drizzle hands
 * them to the driver.
 *
 * @internal
 */
export function filledParameters(
  parameters: readonly unknown[],
  values: Readonly<Record<string, unknown>>,
): unknown[] {
  return parameters.map((parameter) => {
    if (kindOf(parameter) === 'Placeholder') return values[nameOf(parameter)];
    const { value, encoder } = Object(parameter) as {
      readonly value?: unknown;
      readonly encoder?: { mapToDriverValue(value: unknown): unknown };
    };
    const isFilled =
      kindOf(parameter) === 'Param' && kindOf(value) === 'Placeholder';
    return isFilled && encoder !== undefined
      ? encoder.mapToDriverValue(values[nameOf(value)])
      : parameter;
  });
}

/**
 * Rows of RETURNING: by column as the driver gives them, or as lists made of the objects
 * that Drizzle makes of them.
 *
 * @internal
 */
export function returnedRows(
  result: unknown,
  fields: readonly DrizzleField[] | undefined,
): readonly unknown[] | null {
  const rows: unknown = Array.isArray(result)
    ? result
    : (Object(result) as { readonly rows?: unknown }).rows;
  if (!Array.isArray(rows)) return null;
  if (fields === undefined) return rows;
  return rows.map((row: unknown) =>
    fields.map(({ path, field }) => driverValue(row, path, field)),
  );
}

/** The value as the driver gave it; `undefined` where Drizzle has made another one of it. */
function driverValue(
  row: unknown,
  path: readonly string[],
  field: DrizzleField['field'],
): unknown {
  const value = path.reduce<unknown>(
    (at, key) => (Object(at) as Record<string, unknown>)[key],
    row,
  );
  // A custom type may read another value than the stored one.
  const isKept =
    value === null ||
    (kindOf(field) !== 'PgCustomColumn' &&
      field.mapToDriverValue?.(value) === value);
  return isKept ? value : undefined;
}

function kindOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return null;
  return (value.constructor as { readonly [KIND]?: unknown })[KIND];
}

function nameOf(placeholder: unknown): string {
  return (placeholder as { readonly name: string }).name;
}
