import { Option } from 'commander';
import { collected } from '../command.js';
import { UsageError } from '../usage.error.js';
import { isPlain, isTable } from './plain-name.js';
import {
  triggerOptions,
  triggersFrom,
  type TriggerNames,
  type TriggerValues,
} from './trigger-settings.js';

const DEFAULT_NAME = 'cache_invalidation';
/** PostgreSQL cuts longer names off. */
const LONGEST_NAME = 63;

const MODES = ['wal', 'triggers'] as const;
const OF_MODE = {
  wal: ['slot', 'publication'],
  triggers: ['columns', 'outbox', 'bulk'],
} as const;

/** Options of a PostgreSQL source. @internal */
export interface PostgresValues extends TriggerValues {
  readonly postgres?: string;
  readonly mode?: (typeof MODES)[number];
  readonly slot?: string;
  readonly publication?: string;
}

/** Names that a PostgreSQL source uses, as in its module's options. @internal */
export interface PostgresNames {
  /** The mapped tables, with schema; empty if they are not given. */
  readonly tables: readonly string[];
  readonly slot: string;
  readonly publication: string;
}

/** @internal */
export const postgresOptions = (): Option[] =>
  [
    new Option(
      '--postgres <url>',
      'the database, with the user of the services ($CACHE_INVALIDATION_POSTGRES_URL)',
    ),
    new Option(
      '--mode <mode>',
      'how the source sees changes: wal or triggers (wal)',
    ).choices(MODES),
    new Option(
      '--tables <schema.table,…>',
      'the mapped tables; may be repeated; with triggers schema.table=Type, without the type for a mapper',
    ).argParser(collected),
    new Option(
      '--slot <name>',
      'replication slot ($CACHE_INVALIDATION_POSTGRES_SLOT, else cache_invalidation)',
    ),
    new Option('--publication <name>', 'publication (cache_invalidation)'),
    ...triggerOptions(),
  ].map((option) => option.helpGroup('PostgreSQL:'));

/** @throws UsageError for an option of the other mode @internal */
export function isTriggerMode(values: PostgresValues): boolean {
  const { mode = 'wal' } = values;
  const other = mode === 'wal' ? 'triggers' : 'wal';
  const wrong = OF_MODE[other].find((name) => values[name] !== undefined);
  if (wrong === undefined) return mode === 'triggers';
  throw new UsageError(
    `--${wrong} is for --mode ${other}.`,
    `Leave it out, or give --mode ${other}.`,
  );
}

/** @throws UsageError that names the wrong option @internal */
export function namesFrom(
  values: PostgresValues,
  env: NodeJS.ProcessEnv,
): PostgresNames {
  const { tables = [], publication = DEFAULT_NAME } = values;
  const slot =
    values.slot ?? (env['CACHE_INVALIDATION_POSTGRES_SLOT'] || DEFAULT_NAME);
  return {
    tables: [...new Set(tables.flatMap((list) => list.split(',')))].map(
      tableFrom,
    ),
    slot: nameFrom('slot', slot),
    publication: nameFrom('publication', publication),
  };
}

/** @returns `null` if none is given @throws UsageError without the URL @internal */
export function postgresUrlFrom(
  { postgres }: PostgresValues,
  env: NodeJS.ProcessEnv,
): URL | null {
  const text = postgres ?? (env['CACHE_INVALIDATION_POSTGRES_URL'] || null);
  if (text === null) return null;
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password);
    if (/^postgres(ql)?:$/.test(url.protocol)) return url;
  } catch {
    // Thrown below.
  }
  throw new UsageError(
    'The URL of PostgreSQL cannot be read.',
    'Give postgres://user:password@host:port/database, with %25 for a % in the password.',
  );
}

/** Checks the name of a user. @throws UsageError @internal */
export function userFrom(user: string = DEFAULT_NAME): string {
  if (isPlain(user) && Buffer.byteLength(user) <= LONGEST_NAME) return user;
  throw new UsageError(
    '--user is not the name of one.',
    `Give up to ${LONGEST_NAME} bytes, without control characters.`,
  );
}

function nameFrom(option: string, name: string): string {
  if (/^[a-z0-9_]{1,63}$/.test(name)) return name;
  throw new UsageError(
    `--${option} is not a name for one.`,
    'Give up to 63 small letters, digits and underscores.',
  );
}

function tableFrom(text: string): string {
  const table = text.trim();
  if (isTable(table)) return table;
  throw new UsageError(
    '--tables is not a list of tables with their schemas.',
    'Give schema.table, or several with commas between them: public.users,public.memberships.',
  );
}

/** A source to be checked. @internal */
export type GivenSource = { readonly url: URL } & (
  | { readonly mode: 'wal'; readonly names: PostgresNames }
  | { readonly mode: 'triggers'; readonly names: TriggerNames }
);

/** @returns `null` if no database is given @throws UsageError @internal */
export function sourceFrom(
  values: PostgresValues,
  env: NodeJS.ProcessEnv,
): GivenSource | null {
  const url = postgresUrlFrom(values, env);
  if (url !== null) {
    return isTriggerMode(values)
      ? { url, mode: 'triggers', names: triggersFrom(values) }
      : { url, mode: 'wal', names: namesFrom(values, env) };
  }
  const names = [
    'mode',
    'tables',
    ...OF_MODE.wal,
    ...OF_MODE.triggers,
  ] as const;
  const wrong = names.find((name) => values[name] !== undefined);
  if (wrong === undefined) return null;
  throw new UsageError(
    `--${wrong} is for --postgres.`,
    'Give both, or CACHE_INVALIDATION_POSTGRES_URL.',
  );
}
