import { Option } from 'commander';
import { checkEntityType } from '../../message/index.js';
import {
  DEFAULT_BULK,
  DEFAULT_OUTBOX,
  isOutboxName,
  type CapturedTable,
} from '../../sql/index.js';
import { collected } from '../command.js';
import { parseCount } from '../duration.js';
import { UsageError } from '../usage.error.js';
import { isPlain, isTable } from './plain-name.js';

/** Options of a source by triggers. @internal */
export interface TriggerValues {
  readonly tables?: readonly string[];
  readonly columns?: readonly string[];
  readonly outbox?: string;
  readonly bulk?: string;
}

/** Options of the source that its triggers depend on. @internal */
export interface TriggerNames {
  /** Empty if they are not given. */
  readonly tables: readonly CapturedTable[];
  readonly outbox: string;
  readonly bulk: number;
}

/** @internal */
export const triggerOptions = (): Option[] => [
  new Option(
    '--columns <schema.table=column,…>',
    'with triggers: columns of a mapper; may be repeated',
  ).argParser(collected),
  new Option(
    '--outbox <schema.table>',
    `with triggers: the outbox (${DEFAULT_OUTBOX})`,
  ),
  new Option(
    '--bulk <rows>',
    `with triggers: the option bulk (${DEFAULT_BULK})`,
  ),
];

/** @throws UsageError that names the wrong option @internal */
export function triggersFrom(values: TriggerValues): TriggerNames {
  const { tables = [], columns = [], outbox = DEFAULT_OUTBOX } = values;
  const found = new Map<string, CapturedTable>();
  for (const text of tables.flatMap((list) => list.split(','))) {
    const [name, type] = splitAtSign(text);
    if (!isTable(name) || (type !== null && !isType(type))) throw noTables();
    found.set(name, {
      name,
      stored: type === null ? 'rows' : 'keys',
      columns: null,
    });
  }
  for (const text of columns) {
    const [name, list] = splitAtSign(text);
    const names = list?.split(',').map((column) => column.trim()) ?? [];
    if (found.get(name)?.stored !== 'rows' || !names.every(isPlain)) {
      throw noColumns();
    }
    if (names.length === 0) throw noColumns();
    found.set(name, { name, stored: 'rows', columns: names });
  }
  if (!isOutboxName(outbox)) {
    throw new UsageError(
      '--outbox is not a name for one.',
      'Give a schema and up to 50 small letters, digits and underscores: public.cache_invalidation_outbox.',
    );
  }
  const bulk =
    values.bulk === undefined
      ? DEFAULT_BULK
      : parseCount('bulk', values.bulk, Number.MAX_SAFE_INTEGER);
  return { tables: [...found.values()], outbox, bulk };
}

function splitAtSign(text: string): [name: string, value: string | null] {
  const sign = text.indexOf('=');
  return sign === -1
    ? [text.trim(), null]
    : [text.slice(0, sign).trim(), text.slice(sign + 1).trim()];
}

function isType(text: string): boolean {
  try {
    return checkEntityType(text) === text;
  } catch {
    return false;
  }
}

function noTables(): UsageError {
  return new UsageError(
    '--tables is not a list of tables with their schemas.',
    'Give schema.table=Type, or schema.table for a mapper, with commas between them: public.users=User,public.memberships.',
  );
}

function noColumns(): UsageError {
  return new UsageError(
    '--columns is not a list of columns of a mapper.',
    'Give schema.table=column,… for a table of --tables without a type: --columns public.memberships=user_id,team_id.',
  );
}
