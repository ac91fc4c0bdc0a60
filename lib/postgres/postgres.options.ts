import { fillIn, LONGEST_TIMER_MS, type Duration } from '../common/index.js';
import {
  InvalidationConfigurationError,
  OptionRule,
  problemsIn,
} from '../errors/index.js';
import { DEFAULT_BULK, DEFAULT_OUTBOX, isOutboxName } from '../sql/index.js';
import type { PostgresConnection } from './postgres-client.js';
import {
  isConnection,
  isDatabase,
  isMode,
  isTables,
} from './postgres.options-rules.js';
import type { TableMappings } from './mapping/table-mapping.js';
import type { PostgresDatabase } from './triggers/trigger-database.js';

/** Options that are times. */
const TIMES = ['heartbeat', 'timeout', 'visibility', 'poll'] as const;
const TIME_ADVICE = 'Give milliseconds above 0, or a time such as "5s".';

/**
 * Options of the PostgreSQL source. The initialisers are the defaults.
 *
 * @publicApi
 */
export class PostgresSourceOptions {
  /**
   * How changes are seen.
   *
   * - `wal`: by logical replication, for users with the right to replicate
   * - `triggers`: by triggers that write into an outbox table, which all instances empty;
   *   see `triggerSql()`. They do not see changes while they are disabled, or in sessions
   *   with `session_replication_role = replica`.
   *
   * @default 'wal'
   */
  @OptionRule(isMode, 'Give "wal" or "triggers".')
  mode: 'wal' | 'triggers' = 'wal';

  /**
   * The database: a URL, or the options of node-postgres (`ClientConfig`), TLS included.
   * In WAL mode its user needs the right to replicate, and connects directly: no pooler.
   * `CACHE_INVALIDATION_POSTGRES_URL` in the environment.
   */
  @OptionRule(
    isConnection,
    'Give a URL such as "postgres://user@host/database", or options of node-postgres. (CACHE_INVALIDATION_POSTGRES_URL in the environment.)',
  )
  connection!: PostgresConnection;

  /**
   * In trigger mode, a database that the application has opened, such as PGlite, in the
   * place of `connection`.
   */
  @OptionRule(
    isDatabase,
    'Give an object with the methods query() and transaction(), and mode: "triggers".',
  )
  database?: PostgresDatabase;

  /**
   * The mapped tables, with schema: `{ 'public.users': 'User' }`. An entity type, whose id
   * is the primary key; or a mapper of rows.
   */
  @OptionRule(
    isTables,
    'Give entity types or mappers by table, with schema: { "public.users": "User" }.',
  )
  tables!: TableMappings;

  /**
   * The replication slot, which all instances on a channel share: one holds it and
   * announces, the others stand by. Another channel needs a slot of its own. `CACHE_INVALIDATION_POSTGRES_SLOT` in the environment.
   *
   * @default 'cache_invalidation'
   */
  @OptionRule(
    isName,
    'Give up to 63 small letters, digits and underscores. (CACHE_INVALIDATION_POSTGRES_SLOT in the environment.)',
  )
  slot: string = 'cache_invalidation';

  /**
   * The publication of the mapped tables; created or completed if it is not there and the
   * user may.
   *
   * @default 'cache_invalidation'
   */
  @OptionRule(isName, 'Give up to 63 small letters, digits and underscores.')
  publication: string = 'cache_invalidation';

  /**
   * The outbox table of trigger mode, with schema. Another channel needs an outbox of its
   * own.
   *
   * @default 'public.cache_invalidation_outbox'
   */
  @OptionRule(
    isOutboxName,
    'Give a schema and up to 50 small letters, digits and underscores: "public.cache_invalidation_outbox".',
  )
  outbox: string = DEFAULT_OUTBOX;

  /**
   * How long an empty outbox is left alone, in milliseconds; `heartbeat` at most.
   *
   * @default 100
   */
  @OptionRule(isTime, TIME_ADVICE)
  poll: number = 100;

  /**
   * Whether the outbox is looked into at once when a commit notifies this instance, in
   * trigger mode. Its triggers must be made with the same option. `poll` goes on, and is
   * what a lost notification costs; with a longer one, idle instances ask less often.
   *
   * @default false
   */
  @OptionRule(isBoolean, 'Give true or false.')
  wakeUp: boolean = false;

  /**
   * Keys of one entity type in one transaction; of more, the type is invalidated.
   *
   * @default 1000
   */
  @OptionRule(isCount, 'Give a whole number of 1 or more.')
  bulk: number = DEFAULT_BULK;

  /**
   * How often the holder acknowledges and checks the definitions of the tables, and the
   * others try to take the slot, in milliseconds.
   *
   * @default 1000
   */
  @OptionRule(isTime, TIME_ADVICE)
  heartbeat: number = 1_000;

  /**
   * How long PostgreSQL and the holder may be silent for each other, in milliseconds; then
   * the connection is given up, and any instance may take the slot.
   *
   * @default 10000
   */
  @OptionRule(
    exceedsHeartbeat,
    'Give milliseconds or a time such as "10s", more than heartbeat.',
  )
  timeout: number = 10_000;

  /**
   * How long a commit that other sessions do not see yet is held back, in milliseconds.
   * Then it is announced at once, and again when it is visible.
   *
   * @default 2000
   */
  @OptionRule(isTime, TIME_ADVICE)
  visibility: number = 2_000;
}

/**
 * Options of `forRoot()`. Connection and slot may come from the environment; times may be
 * texts, such as `'5s'`.
 *
 * @publicApi
 */
export type CacheInvalidationPostgresOptions = Pick<
  PostgresSourceOptions,
  'tables'
> & {
  [
    Option in Exclude<keyof PostgresSourceOptions, 'tables'>
  ]?: Option extends (typeof TIMES)[number]
    ? Duration
    : PostgresSourceOptions[Option];
};

/** For `useClass` and `useExisting`. @publicApi */
export interface CacheInvalidationPostgresOptionsFactory {
  /** Called once, at the start. */
  createCacheInvalidationPostgresOptions():
    | CacheInvalidationPostgresOptions
    | Promise<CacheInvalidationPostgresOptions>;
}

/**
 * Fills in the environment and the defaults, and checks every option.
 *
 * @throws InvalidationConfigurationError that names every bad option
 * @internal
 */
export function resolvePostgresOptions(given: unknown): PostgresSourceOptions {
  const options = new PostgresSourceOptions();
  fillIn(options, {
    connection: variable('URL'),
    slot: variable('SLOT') ?? options.slot,
  });
  fillIn(options, given, TIMES);
  const problems = problemsIn(
    options,
    // A URL holds a password, so no value is shown.
    (fix, { value, constraints = {} }) =>
      'whitelistValidation' in constraints
        ? {
            problem: 'there is no such option.',
            fix: `The options are ${Object.keys(new PostgresSourceOptions()).join(', ')}.`,
          }
        : {
            problem:
              value === undefined ? 'it is missing.' : 'it is not valid.',
            fix,
          },
    { whitelist: true, forbidNonWhitelisted: true },
  );
  if (problems.length > 0) {
    throw new InvalidationConfigurationError(
      'CacheInvalidationPostgresModule cannot start with these options:',
      problems,
    );
  }
  return options;
}

/** An empty variable is an absent one. */
function variable(name: string): string | undefined {
  return process.env[`CACHE_INVALIDATION_POSTGRES_${name}`] || undefined;
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z0-9_]{1,63}$/.test(value);
}

function exceedsHeartbeat(value: unknown, options: object): boolean {
  const { heartbeat } = options as PostgresSourceOptions;
  // A wrong heartbeat is a problem of its own.
  return isTime(value) && !((value as number) <= heartbeat);
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isTime(value: unknown): boolean {
  return isCount(value) && (value as number) <= LONGEST_TIMER_MS;
}
