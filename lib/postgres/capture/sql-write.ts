import { knownValues, rowsOfCondition } from './sql-condition.js';
import { columnIn, splitList, SqlReader, type SqlTable } from './sql-reader.js';
import { Returning } from './sql-returning.js';
import { isSign, isWord, type SqlToken } from './sql-tokens.js';
import { valueOf, type KnownValues } from './sql-value.js';

/**
 * A single INSERT, UPDATE or DELETE, as its text tells of it.
 *
 * @internal
 */
export interface SqlWrite {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly table: SqlTable;
  /**
   * Rows by what is known of their values: those inserted, or those before. Every row that
   * is written agrees with one of them.
   */
  readonly rows: readonly KnownValues[];
  /** Columns in which a row may differ afterwards. */
  readonly changed: ReadonlySet<string>;
  /** Values that every row has afterwards. */
  readonly assigned: KnownValues;
  readonly returning: Returning | null;
}

const NOTHING: KnownValues = new Map();
const UNKNOWN: readonly KnownValues[] = [NOTHING];

/**
 * Reads a statement.
 *
 * @returns `null` for every other one than a single INSERT, UPDATE or DELETE of a known
 * form
 * @internal
 */
export function parseWrite(
  tokens: readonly SqlToken[],
  parameters: readonly unknown[],
): SqlWrite | null {
  // PostgreSQL allows no further write below one of these.
  const reader = new SqlReader(tokens);
  if (reader.passWords('insert', 'into')) return insertIn(reader, parameters);
  if (reader.passWords('update')) return updateIn(reader, parameters);
  if (reader.passWords('delete', 'from')) return deleteIn(reader, parameters);
  return null;
}

function insertIn(
  reader: SqlReader,
  parameters: readonly unknown[],
): SqlWrite | null {
  const table = reader.table();
  if (table === null) return null;
  if (reader.passWords('as')) reader.name();
  const columns = splitList(reader.group() ?? []).map(columnIn);
  let rows = UNKNOWN;
  if (reader.passWords('values')) {
    rows = splitList(reader.until('on', 'returning')).map((row) =>
      knownValues(columns, splitList(row.slice(1, -1)), parameters),
    );
  }
  const conflict = conflictIn(reader);
  if (conflict === null) {
    return written('insert', table, rows, NOTHING, reader);
  }
  // An existing row is known by the columns of the conflict only, which are equal.
  const { target, changed } = conflict;
  const equal = rows.map(
    (row) => new Map([...row].filter(([column]) => target.includes(column))),
  );
  const write = written('insert', table, equal, NOTHING, reader);
  return { ...write, changed };
}

/** The columns of ON CONFLICT DO UPDATE; `null` if there is none. */
function conflictIn(reader: SqlReader): {
  target: readonly (string | null)[];
  changed: ReadonlySet<string>;
} | null {
  reader.until('on', 'returning');
  while (!reader.passWords('on', 'conflict')) {
    // ON of a join.
    if (!reader.passWords('on')) return null;
    reader.until('on', 'returning');
  }
  const target = splitList(reader.group() ?? []).map(columnIn);
  reader.until('do');
  if (!reader.passWords('do', 'update', 'set')) return null;
  const assignments = splitList(reader.until('where', 'returning'));
  // The columns of the conflict are equal to those of EXCLUDED.
  const changes = assignments.filter(
    ([column, , ...value]) =>
      !target.includes(column?.text ?? null) ||
      !isWord(value[0], 'excluded') ||
      columnIn(value) !== column!.text,
  );
  return { target, changed: new Set(changes.flatMap(changedBy)) };
}

function updateIn(
  reader: SqlReader,
  parameters: readonly unknown[],
): SqlWrite | null {
  const table = targetIn(reader, 'set');
  if (table === null || !reader.passWords('set')) return null;
  const assignments = splitList(reader.until('from', 'where', 'returning'));
  const assigned = new Map<string, unknown>();
  for (const assignment of assignments) {
    const [column, sign, ...value] = assignment;
    const known = isSign(sign, '=') ? valueOf(value, parameters) : undefined;
    if (known !== undefined) assigned.set(column!.text!, known);
  }
  const write = conditionIn('update', table, assigned, reader, parameters);
  return { ...write, changed: new Set(assignments.flatMap(changedBy)) };
}

function deleteIn(
  reader: SqlReader,
  parameters: readonly unknown[],
): SqlWrite | null {
  const table = targetIn(reader, 'using', 'where', 'returning');
  if (table === null) return null;
  return conditionIn('delete', table, NOTHING, reader, parameters);
}

/** The table of an UPDATE or a DELETE, with its alias. */
function targetIn(
  reader: SqlReader,
  ...after: readonly string[]
): SqlTable | null {
  reader.passWords('only');
  const table = reader.table();
  reader.passSign('*');
  reader.passWords('as');
  reader.name(...after);
  return table;
}

function conditionIn(
  kind: SqlWrite['kind'],
  table: SqlTable,
  assigned: KnownValues,
  reader: SqlReader,
  parameters: readonly unknown[],
): SqlWrite {
  const others = reader.until('where', 'returning');
  const condition = reader.passWords('where') ? reader.until('returning') : [];
  if (others.length === 0) {
    const rows = rowsOfCondition(condition, parameters);
    return written(kind, table, rows, assigned, reader);
  }
  // With FROM or USING, columns may be those of another table.
  const write = written(kind, table, UNKNOWN, assigned, reader);
  return { ...write, returning: null };
}

function written(
  kind: SqlWrite['kind'],
  table: SqlTable,
  rows: readonly KnownValues[],
  assigned: KnownValues,
  reader: SqlReader,
): SqlWrite {
  reader.until('returning');
  const returning = reader.passWords('returning')
    ? new Returning(reader.until())
    : null;
  return { kind, table, rows, changed: new Set(), assigned, returning };
}

/** Columns that an assignment changes, such as `a = 1`, `a[1] = 1` or `(a, b) = (1, 2)`. */
function changedBy(assignment: readonly SqlToken[]): string[] {
  const reader = new SqlReader(assignment);
  const group = reader.group();
  if (group === null) return [reader.name() ?? ''];
  return splitList(group).map(([first]) => first?.text ?? '');
}
