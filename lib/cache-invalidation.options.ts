import {
  IsBoolean,
  IsIn,
  IsInt,
  IsString,
  Matches,
  Max,
  Min,
  ValidateBy,
  ValidateIf,
  type ValidationError,
} from 'class-validator';
import { fillIn, LONGEST_TIMER_MS, type Duration } from './common/index.js';
import {
  InvalidationConfigurationError,
  problemsIn,
  type ConfigurationProblem,
} from './errors/index.js';
import {
  entityTypeOf,
  keyPrefixOf,
  show,
  type IdForms,
} from './message/index.js';
import type { CascadeRules, DurableOutbox } from './publisher/index.js';
import type { StalePolicy } from './subscriber/index.js';
import {
  CONNECTION_ADVICE,
  isConnection,
  sharesJournal,
  type RedisConnection,
} from './transport/index.js';

const MEBIBYTE = 1_048_576;

/**
 * What the module can be told. The initialisers are the defaults.
 *
 * @publicApi
 */
export class CacheInvalidationOptions {
  /**
   * Where Redis is: a URL (`redis:` or `rediss:`), ioredis options (Sentinel
   * included), `{ cluster: { nodes, options } }`, or a `Redis`/`Cluster` of
   * yours, which only tells where: it is duplicated, and never used or closed.
   *
   * @default 'redis://localhost:6379'
   */
  @ValidateBy(
    { name: 'connection', validator: { validate: isConnection } },
    { message: CONNECTION_ADVICE },
  )
  connection: RedisConnection = 'redis://localhost:6379';

  /**
   * The Redis Pub/Sub channel; services on other channels hear nothing.
   *
   * @default 'cache:invalidate'
   */
  @IsString({ message: 'Give a channel name, such as "cache:invalidate".' })
  @Matches(/\S/, {
    message: 'Give a channel name, such as "cache:invalidate".',
  })
  @ValidateBy(
    { name: 'ownJournal', validator: { validate: hasOwnJournal } },
    {
      message:
        'Give it without the braces around it: both names would have one journal.',
    },
  )
  channel: string = 'cache:invalidate';

  /** Which service this is; every message it publishes says so. Required, here or in the environment. */
  @ValidateBy(
    { name: 'serviceName', validator: { validate: isServiceName } },
    {
      message:
        'Give the name of this service, such as "user-service", in at most 256 characters.',
    },
  )
  serviceName!: string;

  /**
   * `false` switches everything off: decorators pass through, publishers answer
   * `disabled`, no connection is opened.
   *
   * @default true
   */
  @IsBoolean({ message: 'Give true or false.' })
  enabled: boolean = true;

  /**
   * How long the start of the application waits for Redis, in milliseconds; then
   * it starts without and goes live later.
   *
   * @default 2000
   */
  @Milliseconds()
  startupTimeout: number = 2_000;

  /**
   * How long a publish waits for Redis at most, in milliseconds; then it answers
   * `queued`.
   *
   * @default 200
   */
  @Milliseconds()
  publishTimeout: number = 200;

  /**
   * How long the shutdown goes on sending what is queued, in milliseconds.
   *
   * @default 2000
   */
  @Milliseconds()
  shutdownTimeout: number = 2_000;

  /**
   * How many messages may wait for Redis, or for one commit, a batch counting
   * its keys; beyond it they collapse to entity types, then to everything.
   *
   * @default 10000
   */
  @Count()
  outboxLimit: number = 10_000;

  /**
   * The journal beside the channel, a Redis Stream of about `maxLength` messages
   * (400 bytes each or so), from which instances read what they missed. `false`
   * keeps none: then every reconnect evicts everything.
   *
   * @default { maxLength: 50000 }
   */
  @ValidateBy(
    { name: 'journal', validator: { validate: isJournal } },
    {
      message: 'Give { maxLength } with a whole number of 1 or more, or false.',
    },
  )
  journal: { readonly maxLength: number } | false = { maxLength: 50_000 };

  /**
   * Sharded Pub/Sub, for a Redis Cluster of version 7 or newer: a message goes
   * to the nodes of one shard, and not to all. Everybody on the channel must
   * agree.
   *
   * @default false
   */
  @IsBoolean({ message: 'Give true or false.' })
  @ValidateBy(
    { name: 'shardedChannel', validator: { validate: canBeSharded } },
    {
      message:
        'Give false, or a channel without braces, or with one hash tag such as "{app}:invalidate".',
    },
  )
  sharded: boolean = false;

  /**
   * How often both connections and the journal are asked whether anything was
   * missed, in milliseconds.
   *
   * @default 5000
   */
  @Milliseconds()
  heartbeatInterval: number = 5_000;

  /**
   * How long Redis may take to answer that, and a reading of the journal, in
   * milliseconds; then the connection is opened anew.
   *
   * @default 3000
   */
  @Milliseconds()
  heartbeatTimeout: number = 3_000;

  /**
   * For how long an instance may go without proof that it has heard everything,
   * in milliseconds, longer than a heartbeat and its timeout; 0 for no bound.
   *
   * @default 0
   */
  @ValidateBy(
    { name: 'maxStaleness', validator: { validate: exceedsHeartbeat } },
    {
      message:
        'Give 0, or milliseconds or a time such as "30s" above heartbeatInterval + heartbeatTimeout.',
    },
  )
  maxStaleness: number = 0;

  /**
   * What happens beyond `maxStaleness`: `serve` goes on and says so in the log;
   * `widen` evicts everything and tells caches to bypass until there is proof.
   *
   * @default 'serve'
   */
  @IsIn(['serve', 'widen'], { message: 'Give "serve" or "widen".' })
  whenStale: StalePolicy = 'serve';

  /**
   * A table of your database behind the outbox, which survives the process; see
   * `DurableOutbox`.
   *
   * @default none
   */
  @ValidateIf(
    (options: CacheInvalidationOptions) => options.durableOutbox !== undefined,
  )
  @ValidateBy(
    { name: 'durableOutbox', validator: { validate: isDurableOutbox } },
    { message: 'Give an object with pending() and remove().' },
  )
  durableOutbox?: DurableOutbox = undefined;

  /**
   * What else is to be invalidated when this instance says that an entity has
   * changed: for each entity type a function of the id; see `CascadeRule`.
   *
   * @default none
   */
  @ValidateIf(
    (options: CacheInvalidationOptions) => options.cascade !== undefined,
  )
  @ValidateBy(
    { name: 'cascade', validator: { validate: isByEntityType } },
    {
      message:
        'Give an object with a function for each entity type, such as { User: (id) => [entity("Feed", id)] }.',
    },
  )
  cascade?: CascadeRules = undefined;

  /**
   * Forms that ids are brought into here, for each entity type a function of the
   * id: for messages that arrive and for reads of near caches; see `IdForm`.
   *
   * @default none
   */
  @ValidateIf(
    (options: CacheInvalidationOptions) => options.normalizeIds !== undefined,
  )
  @ValidateBy(
    { name: 'normalizeIds', validator: { validate: isByEntityType } },
    {
      message:
        'Give an object with a function for each entity type, such as { User: (id) => id.toLowerCase() }.',
    },
  )
  normalizeIds?: IdForms = undefined;

  /**
   * How many messages may wait for one handler that is busy; beyond it they
   * collapse to one message that covers everything.
   *
   * @default 1000
   */
  @Count()
  handlerQueueLimit: number = 1_000;

  /**
   * How many bytes of messages may wait in one place: for Redis, for one commit,
   * for one busy handler, or for the journal to be read. Beyond it they collapse
   * as by the other limits. At least 65536.
   *
   * @default 16777216
   */
  @Count(65_536)
  queueByteLimit: number = 16 * MEBIBYTE;

  /**
   * How many keys one message carries; larger batches are split.
   *
   * @default 1000
   */
  @Count()
  maxBatchSize: number = 1_000;

  /**
   * The largest message that is sent or read, in bytes; at least 4096, so that
   * "everything" always fits.
   *
   * @default 1048576
   */
  @Count(4_096)
  maxMessageBytes: number = MEBIBYTE;

  /**
   * Lists in the log, once at the start, what is invalidated, cached and heard
   * here, what is cached and invalidated by nobody, and what is invalidated and
   * cached by nobody.
   *
   * @default false
   */
  @IsBoolean({ message: 'Give true or false.' })
  describe: boolean = false;
}

/** Options that no text can give. @internal */
export const OBJECT_OPTIONS = [
  'cascade',
  'durableOutbox',
  'normalizeIds',
] as const;

/** Options that text can give. @internal */
export type ScalarOption = Exclude<
  keyof CacheInvalidationOptions,
  (typeof OBJECT_OPTIONS)[number]
>;

/** Options that are times. */
const TIME_OPTIONS = [
  'startupTimeout',
  'publishTimeout',
  'shutdownTimeout',
  'heartbeatInterval',
  'heartbeatTimeout',
  'maxStaleness',
] as const;

type TimeOption = (typeof TIME_OPTIONS)[number];

/**
 * Options of `forRoot()`. An option that is absent comes from the environment,
 * then from the defaults. Times may be texts, such as `'10s'`.
 *
 * @publicApi
 */
export type CacheInvalidationModuleOptions = {
  [Option in keyof CacheInvalidationOptions]?: Option extends TimeOption
    ? Duration
    : CacheInvalidationOptions[Option];
};

/** For `useClass` and `useExisting`. @publicApi */
export interface CacheInvalidationOptionsFactory {
  /** Called once, at the start. */
  createCacheInvalidationOptions():
    CacheInvalidationModuleOptions | Promise<CacheInvalidationModuleOptions>;
}

/**
 * Fills in the defaults and checks.
 *
 * @throws InvalidationConfigurationError that names every bad option.
 * @internal
 */
export function resolveOptions(given: unknown): CacheInvalidationOptions {
  const options = new CacheInvalidationOptions();
  fillIn(options, given, TIME_OPTIONS);
  const problems = problemsIn(
    options,
    (fix, error) => describeFault(fix, error, given),
    { whitelist: true, forbidNonWhitelisted: true },
  );
  if (problems.length > 0) {
    throw new InvalidationConfigurationError(
      'CacheInvalidationModule cannot start with these options:',
      problems,
      '\nCorrect them where forRoot() or forRootAsync() gets them.',
    );
  }
  return options;
}

function describeFault(
  fix: string,
  error: ValidationError,
  given: unknown,
): Omit<ConfigurationProblem, 'field'> {
  const { property, constraints = {} } = error;
  if ('whitelistValidation' in constraints) {
    const names = Object.keys(new CacheInvalidationOptions()).join(', ');
    return {
      problem: 'there is no such option.',
      fix: `The options are ${names}.`,
    };
  }
  return {
    problem: problemWith(error, given),
    fix: OBJECT_OPTIONS.some((option) => option === property)
      ? fix
      : `${fix} (${variableOf(property)} in the environment.)`,
  };
}

/** The variable that stands in for an option. @internal */
export function variableOf(option: string): string {
  if (option === 'connection') return 'REDIS_URL';
  const words = option.replace(/[A-Z]/g, (letter) => `_${letter}`);
  return `CACHE_INVALIDATION_${words.toUpperCase()}`;
}

function problemWith(
  { property, value }: ValidationError,
  given: unknown,
): string {
  if (value === undefined) return 'it is missing.';
  // A URL holds a password.
  if (property === 'connection') return 'it is no way to reach Redis.';
  // A time as it was written, not in milliseconds.
  const written = (given as Record<string, unknown> | undefined)?.[property];
  return `${show(written ?? value)} will not do.`;
}

function isServiceName(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    value.trim() !== '' &&
    value.length <= 256 &&
    value.isWellFormed()
  );
}

function hasOwnJournal(channel: unknown): boolean {
  return typeof channel !== 'string' || !sharesJournal(channel);
}

function isJournal(value: unknown): boolean {
  if (value === false) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { maxLength, ...others } = value as { maxLength?: unknown };
  return (
    Number.isSafeInteger(maxLength) &&
    (maxLength as number) >= 1 &&
    Object.keys(others).length === 0
  );
}

/** The channel and the key of its journal must share a hash slot. */
function canBeSharded(
  sharded: unknown,
  { object }: { object: object } = { object: {} },
): boolean {
  const { channel } = object as Partial<CacheInvalidationOptions>;
  return (
    sharded !== true || !/[{}]/.test(String(channel).replace(/\{[^{}]+\}/, ''))
  );
}

function exceedsHeartbeat(
  value: unknown,
  { object }: { object: object } = { object: {} },
): boolean {
  const { heartbeatInterval = 0, heartbeatTimeout = 0 } =
    object as Partial<CacheInvalidationOptions>;
  return (
    value === 0 ||
    (Number.isInteger(value) &&
      (value as number) > heartbeatInterval + heartbeatTimeout &&
      (value as number) <= LONGEST_TIMER_MS)
  );
}

function isByEntityType(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(
      ([type, rule]) => typeof rule === 'function' && isEntityType(type),
    )
  );
}

/** The type of some cache key, by the one name that it has. */
function isEntityType(type: string): boolean {
  return (
    type !== '' &&
    !type.includes(':') &&
    type.isWellFormed() &&
    entityTypeOf(keyPrefixOf(type)) === type
  );
}

function isDurableOutbox(value: unknown): boolean {
  const { pending, remove } = (value ?? {}) as Partial<DurableOutbox>;
  return typeof pending === 'function' && typeof remove === 'function';
}

function Milliseconds(): PropertyDecorator {
  return Whole(
    'Give a whole number of milliseconds, from 1 to 2147483647, or a time such as "10s" or "5m".',
    1,
    LONGEST_TIMER_MS,
  );
}

function Count(least = 1): PropertyDecorator {
  return Whole(`Give a whole number, ${least} or more.`, least);
}

function Whole(
  message: string,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): PropertyDecorator {
  return (target, property) => {
    IsInt({ message })(target, property);
    Min(least, { message })(target, property);
    Max(most, { message })(target, property);
  };
}
