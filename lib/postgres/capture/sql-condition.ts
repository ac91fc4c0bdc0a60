import { columnIn, split, splitList } from './sql-reader.js';
import { isSign, isWord, type SqlToken } from './sql-tokens.js';
import { castValue, valueOf, type KnownValues } from './sql-value.js';

/** More rows than this that a condition names are taken for unknown ones. */
const MAX_ROWS = 10_000;

/** Conditions within each other, of more than which nothing is known. */
const MAX_DEPTH = 50;

/** Nothing is known of the rows. */
const UNKNOWN: readonly KnownValues[] = [new Map()];

/**
 * The rows that a condition can be true for, by the values of their columns: one of the
 * results at least agrees with each such row. A row without values stands for any.
 *
 * @internal
 */
export function rowsOfCondition(
  tokens: readonly SqlToken[],
  parameters: readonly unknown[],
  depth = 0,
): readonly KnownValues[] {
  if (depth > MAX_DEPTH) return UNKNOWN;
  // Words with an AND of their own, or another table's columns.
  if (tokens.some((token) => isWord(token, 'between', 'case', 'select'))) {
    return UNKNOWN;
  }
  const either = split(tokens, (token) => isWord(token, 'or'));
  if (either.length > 1) {
    const rows: KnownValues[] = [];
    for (const each of either) {
      // One by one: a spread of very many would not fit on the stack.
      for (const row of rowsOfCondition(each, parameters, depth + 1))
        rows.push(row);
    }
    return rows.length > MAX_ROWS ? UNKNOWN : rows;
  }
  const all = split(tokens, (token) => isWord(token, 'and'));
  if (all.length > 1) {
    return all
      .map((each) => rowsOfCondition(each, parameters, depth + 1))
      .reduce((rows, more) => both(rows, more), UNKNOWN);
  }
  return isGroup(tokens)
    ? rowsOfCondition(tokens.slice(1, -1), parameters, depth + 1)
    : rowsOfComparison(tokens, parameters);
}

/** Whether the first parenthesis is closed by the last token. */
function isGroup(tokens: readonly SqlToken[]): boolean {
  if (!isSign(tokens[0], '(')) return false;
  let depth = 0;
  const end = tokens.findIndex((token) => {
    if (isSign(token, '(')) depth++;
    else if (isSign(token, ')')) depth--;
    return depth === 0;
  });
  return end === tokens.length - 1;
}

/** Rows that satisfy two conditions. */
function both(
  some: readonly KnownValues[],
  more: readonly KnownValues[],
): readonly KnownValues[] {
  if (some.length * more.length > MAX_ROWS) return UNKNOWN;
  return some.flatMap((row) =>
    more.map((other) => new Map([...row, ...other])),
  );
}

function rowsOfComparison(
  tokens: readonly SqlToken[],
  parameters: readonly unknown[],
): readonly KnownValues[] {
  const at = tokens.findIndex(
    (token) => isSign(token, '=') || isWord(token, 'in'),
  );
  const left = tokens.slice(0, at);
  const right = tokens.slice(at + 1);
  const columns = isGroup(left)
    ? splitList(left.slice(1, -1)).map(columnIn)
    : [columnIn(left)];
  const rowOf = (values: readonly SqlToken[]): KnownValues =>
    knownValues(
      columns,
      isGroup(left) ? partsOf(values) : [values],
      parameters,
    );
  if (at < 0) return UNKNOWN;
  if (isWord(tokens[at], 'in')) {
    return isGroup(right) && right.length > 2
      ? splitList(right.slice(1, -1)).map(rowOf)
      : UNKNOWN;
  }
  if (!isWord(right[0], 'any')) return [rowOf(right)];
  const list = isGroup(right.slice(1))
    ? listOf(right.slice(2, -1), parameters)
    : null;
  const [column] = columns;
  return list === null || column === null || column === undefined
    ? UNKNOWN
    : list.map((value) => new Map([[column, value]]));
}

/** Values within parentheses. */
function partsOf(tokens: readonly SqlToken[]): SqlToken[][] {
  return isGroup(tokens) ? splitList(tokens.slice(1, -1)) : [];
}

/** The elements of an array that is a parameter, with or without a cast. */
function listOf(
  tokens: readonly SqlToken[],
  parameters: readonly unknown[],
): readonly unknown[] | null {
  const [parameter, sign, type, ...rest] = tokens;
  const value = valueOf(parameter === undefined ? [] : [parameter], parameters);
  if (!Array.isArray(value) || value.length > MAX_ROWS) return null;
  if (sign === undefined) return value;
  return isSign(sign, '::') &&
    isSign(rest[0], '[') &&
    isSign(rest[1], ']') &&
    rest.length === 2
    ? value.map((each: unknown) => castValue(each, type))
    : null;
}

/** Values by column, as far as both are known. @internal */
export function knownValues(
  columns: readonly (string | null)[],
  values: readonly (readonly SqlToken[])[],
  parameters: readonly unknown[],
): KnownValues {
  const known = new Map<string, unknown>();
  columns.forEach((column, index) => {
    const value = valueOf(values[index] ?? [], parameters);
    if (column !== null && value !== undefined) known.set(column, value);
  });
  return known;
}
