import { CacheInvalidationLimits } from './cache-invalidation.limits.js';
import {
  canBeSharded,
  exceedsHeartbeat,
  hasOwnJournal,
  isAbsentOr,
  isByEntityType,
  isChannelName,
  isDurableOutbox,
  isJournal,
  isJournaledIn,
  isServiceName,
  Milliseconds,
  mayHaveOutbox,
} from './cache-invalidation.options-rules.js';
import {
  IsBoolean,
  IsIn,
  ROLES,
  type InvalidationRole,
} from './common/index.js';
import { OptionRule } from './errors/index.js';
import type { IdForms } from './message/index.js';
import type { CascadeRules, DurableOutbox } from './publisher/index.js';
import {
  REGIONS_ADVICE,
  wrongInRegions,
  type RegionsOptions,
} from './regions/index.js';
import {
  isSigning,
  SIGNING_ADVICE,
  type SigningOptions,
} from './signing/index.js';
import type { StalePolicy } from './subscriber/index.js';
import {
  CONNECTION_ADVICE,
  isConnection,
  type RedisConnection,
} from './transport/index.js';

/**
 * Options of the module. The initialisers are the defaults.
 *
 * @publicApi
 */
export class CacheInvalidationOptions extends CacheInvalidationLimits {
  /**
   * The Redis server: a URL (`redis:` or `rediss:`), ioredis options (Sentinel
   * included), `{ cluster: { nodes, options } }`, or a `Redis`/`Cluster` of
   * yours. A client of yours only supplies the address: the module duplicates
   * it, and never uses or closes it.
   *
   * @default 'redis://localhost:6379'
   */
  @OptionRule(isConnection, CONNECTION_ADVICE)
  connection: RedisConnection = 'redis://localhost:6379';

  /**
   * The Redis Pub/Sub channel. Services on different channels do not receive
   * each other's invalidations.
   *
   * @default 'cache:invalidate'
   */
  @OptionRule(isChannelName, 'Give a channel name, such as "cache:invalidate".')
  @OptionRule(
    hasOwnJournal,
    'Give it without the braces around it: both names would have one journal.',
  )
  channel: string = 'cache:invalidate';

  /** The name of this service, carried by every message it publishes. Required, here or in the environment. */
  @OptionRule(
    isServiceName,
    'Give the name of this service, such as "user-service", in at most 256 characters.',
  )
  serviceName!: string;

  /**
   * Whether this application publishes, receives, or does both. A `subscriber`
   * needs fewer rights in Redis, and a `publisher` opens no subscription.
   *
   * @default 'both'
   */
  @IsIn(ROLES, { message: 'Give "both", "subscriber" or "publisher".' })
  role: InvalidationRole = 'both';

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
   * it starts without Redis and goes live later.
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

  /** How long the shutdown goes on publishing queued messages, in milliseconds. @default 2000 */
  @Milliseconds()
  shutdownTimeout: number = 2_000;

  /**
   * The journal beside the channel, a Redis Stream of about `maxLength` messages
   * (400 bytes each or so), from which instances read the messages they missed.
   * `false` keeps none: then every reconnect evicts everything.
   *
   * @default { maxLength: 50000 }
   */
  @OptionRule(
    isJournal,
    'Give { maxLength } with a whole number of 1 or more, or false.',
  )
  journal: { readonly maxLength: number } | false = { maxLength: 50_000 };

  /**
   * Sharded Pub/Sub, for a Redis Cluster of version 7 or newer: a message goes
   * to the nodes of one shard instead of all nodes. All services on the channel
   * need the same setting.
   *
   * @default false
   */
  @IsBoolean({ message: 'Give true or false.' })
  @OptionRule(
    canBeSharded,
    'Give false, or a channel without braces, or with one hash tag such as "{app}:invalidate".',
  )
  sharded: boolean = false;

  /**
   * How often both connections and the journal are checked for missed messages,
   * in milliseconds.
   *
   * @default 5000
   */
  @Milliseconds()
  heartbeatInterval: number = 5_000;

  /**
   * How long Redis may take to answer a heartbeat or a read of the journal, in
   * milliseconds; then the connection is opened anew.
   *
   * @default 3000
   */
  @Milliseconds()
  heartbeatTimeout: number = 3_000;

  /**
   * How long an instance may go without proof that it has received everything,
   * in milliseconds, longer than a heartbeat and its timeout; 0 for no bound.
   *
   * @default 0
   */
  @OptionRule(
    exceedsHeartbeat,
    'Give 0, or milliseconds or a time such as "30s" above heartbeatInterval + heartbeatTimeout.',
  )
  maxStaleness: number = 0;

  /**
   * The policy beyond `maxStaleness`: `serve` goes on and logs a warning;
   * `widen` evicts everything and makes caches bypass until there is proof.
   *
   * @default 'serve'
   */
  @IsIn(['serve', 'widen'], { message: 'Give "serve" or "widen".' })
  whenStale: StalePolicy = 'serve';

  /** A table of your database behind the outbox, which survives the process; see `DurableOutbox`. @default none */
  @OptionRule(
    isAbsentOr(isDurableOutbox),
    'Give an object with pending() and remove().',
  )
  @OptionRule(mayHaveOutbox, 'Leave it out: a subscriber publishes nothing.')
  durableOutbox?: DurableOutbox = undefined;

  /**
   * Keys that sign this service's messages, and verify all messages and entries of
   * the second tier; see `SigningOptions`. @default none
   */
  @OptionRule(isAbsentOr(isSigning), SIGNING_ADVICE)
  signing?: SigningOptions = undefined;

  /**
   * Other regions, each with a Redis of its own, whose invalidations reach this one; see
   * `RegionsOptions`. @default none
   */
  @OptionRule(
    isAbsentOr((value) => wrongInRegions(value) === null),
    REGIONS_ADVICE,
  )
  @OptionRule(
    isJournaledIn,
    'Leave the journal on: a relay writes it, and knows by it what it has forwarded.',
  )
  regions?: RegionsOptions = undefined;

  /**
   * Further invalidations to publish when an entity changes: for each entity
   * type a function of the id; see `CascadeRule`. @default none
   */
  @OptionRule(
    isAbsentOr(isByEntityType),
    'Give an object with a function for each entity type, such as { User: (id) => [entity("Feed", id)] }.',
  )
  cascade?: CascadeRules = undefined;

  /**
   * The form of ids on this instance, for each entity type a function of the id:
   * for received messages and for reads of near caches; see `IdForm`. @default none
   */
  @OptionRule(
    isAbsentOr(isByEntityType),
    'Give an object with a function for each entity type, such as { User: (id) => id.toLowerCase() }.',
  )
  normalizeIds?: IdForms = undefined;

  /**
   * Joins what one tick deletes to one `Batch` message. Off, since a handler that
   * reads `entityId` alone would drop such invalidations. @default false
   */
  @IsBoolean({ message: 'Give true or false.' })
  coalesce: boolean = false;

  /**
   * Logs once, at the start, which entity types are invalidated, cached and
   * handled here, which are cached and never invalidated, and which are
   * invalidated and never cached.
   *
   * @default false
   */
  @IsBoolean({ message: 'Give true or false.' })
  describe: boolean = false;
}
