import { describeCause } from '../../errors/index.js';
import { dropTriggerSql, TriggerPlan } from '../../sql/index.js';
import type { Dropped } from './drop-source.js';
import { PostgresCommandError } from './postgres-command.error.js';
import type { PostgresLink } from './postgres-link.js';

/** Error codes of PostgreSQL. */
const NO_RIGHTS = '42501';
const TOO_LATE = '57014';
/** Rows are counted up to here. */
const MOST_ROWS = 100_000;
/** A part of the time for an answer: the server has to give up first. */
const WAIT = 0.8;

const COLUMNS = 'id,xid,created,mapped,kind,content';

/** @internal */
export interface OutboxDropResult {
  readonly outbox: Dropped;
  /** Rows that were in it, up to 100,001; they are announced no more. */
  readonly rows: number;
  /** Mapped tables and partitions that had triggers. */
  readonly tables: number;
}

interface Found {
  readonly columns: string | null;
  readonly tables: number;
}

const FIND = `
select (select string_agg(attname, ',' order by attnum) from pg_attribute
    where attrelid = to_regclass($1) and attnum > 0 and not attisdropped) as columns,
  (select count(distinct tgrelid)::int from pg_trigger
    where tgfoid = to_regproc($2)::oid) as tables`;

/**
 * Drops the outbox and the triggers that fill it.
 *
 * @param timeout milliseconds that PostgreSQL may take
 * @throws PostgresCommandError if the table is something else, or is in use
 * @internal
 */
export async function dropOutbox(
  link: PostgresLink,
  outbox: string,
  timeout: number,
): Promise<OutboxDropResult> {
  const plan = new TriggerPlan({ outbox });
  const [found] = await link.query<Found>(FIND, [plan.outbox, plan.capture]);
  const { columns, tables } = found!;
  if (columns !== null && columns !== COLUMNS) {
    throw new PostgresCommandError(
      `The table ${outbox} is not the outbox of a source.`,
      'Nothing was dropped. See --outbox and the database of the URL.',
    );
  }
  try {
    await link.query("select set_config('statement_timeout', $1, false)", [
      String(Math.ceil(timeout * WAIT)),
    ]);
    const rows = columns === null ? 0 : await countRows(link, plan.outbox);
    await link.query(dropTriggerSql({ outbox }));
    return { outbox: columns === null ? 'absent' : 'dropped', rows, tables };
  } catch (error) {
    throw failed(outbox, error as Error);
  }
}

/** The result for people. @internal */
export function dropOutboxText(
  outbox: string,
  result: OutboxDropResult,
): string[] {
  const { rows, tables } = result;
  const many = rows > MOST_ROWS ? `over ${MOST_ROWS}` : String(rows);
  const lost =
    rows === 0
      ? ''
      : `, with ${many} ${rows === 1 ? 'row' : 'rows'} that nobody announced`;
  return [
    result.outbox === 'absent'
      ? `outbox    there is none of the name ${outbox}`
      : `outbox    ${outbox} dropped${lost}`,
    tables === 0
      ? 'triggers  there are none'
      : `triggers  dropped, of ${tables} ${tables === 1 ? 'table' : 'tables'}`,
  ];
}

async function countRows(link: PostgresLink, outbox: string): Promise<number> {
  const [counted] = await link.query<{ rows: number }>(
    `select count(*)::int as rows from (select from ${outbox} limit ${MOST_ROWS + 1}) r`,
  );
  return counted!.rows;
}

function failed(outbox: string, cause: Error): PostgresCommandError {
  const { code } = cause as { readonly code?: unknown };
  const what = `The outbox ${outbox} was not dropped`;
  if (code === NO_RIGHTS) {
    return new PostgresCommandError(
      `${what}: it belongs to another user.`,
      'Give the URL of its owner.',
      cause,
    );
  }
  if (code === TOO_LATE) {
    return new PostgresCommandError(
      `${what}: open transactions use it, or the tables with its triggers.`,
      'Try again when they have ended, or give a longer --timeout.',
      cause,
    );
  }
  return new PostgresCommandError(
    `${what}: ${describeCause(cause)}.`,
    'Nothing was dropped.',
    cause,
  );
}
