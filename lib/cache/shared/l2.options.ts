import { LONGEST_TIMER_MS, type Duration } from '../../common/index.js';
import { OptionRule } from '../../errors/index.js';
import {
  CONNECTION_ADVICE,
  isConnection,
  type RedisConnection,
} from '../../transport/index.js';
import {
  CHECKED_JSON,
  type CheckedSerializer,
  type L2Serializer,
  type ValueClass,
} from './serializers.js';

/** The second tier of a near cache, in Redis. @publicApi */
export interface L2Options<V> {
  /**
   * How long an entry stays in Redis if nothing invalidates it, in milliseconds or
   * as a text such as `'1h'`.
   *
   * @default 3600000
   */
  readonly ttl?: Duration;
  /**
   * The beginning of every entry's name in Redis, before the cache key. Services,
   * and caches that keep other values of the same entities, need different ones.
   *
   * @default `near:` and the name of the service; for `@Cached`, also class and method
   */
  readonly keyPrefix?: string;
  /**
   * The Redis that holds the entries; it gets a connection of its own.
   *
   * @default that of the module's options
   */
  readonly connection?: RedisConnection;
  /**
   * Turns values into bytes and back: `json()`, `structured()`, or one of your own,
   * whose results are not checked.
   *
   * @default JSON, for values that it gives back unchanged; others stay in memory
   */
  readonly serializer?: L2Serializer<V>;
  /**
   * The class of the values, or of the elements of a list: values from Redis become
   * instances of it by class-transformer. Not with `serializer`.
   *
   * @default none: plain objects
   */
  readonly type?: () => ValueClass;
  /**
   * Rejects a read whose value Redis would not give back unchanged, instead of
   * keeping the value in memory only: for tests.
   *
   * @default false
   */
  readonly strict?: boolean;
  /**
   * Encrypts the values in Redis (AES-256-GCM) with the module's `signing` keys, and
   * refuses those that are not encrypted.
   *
   * @default false; with `signing`, entries are signed
   */
  readonly encrypt?: boolean;
  /**
   * Lets one instance load a value that several need at a time; the others wait for
   * it, for at most ten seconds, and load what it does not store. An instance that
   * dies is replaced after two seconds.
   *
   * @default false
   */
  readonly singleFlight?: boolean;
  /**
   * How long a read waits for Redis before it loads instead, in milliseconds or as a
   * text.
   *
   * @default 250
   */
  readonly timeout?: Duration;
}

/** The fix of an option that is a time. @internal */
export const TIME_ADVICE = 'Give milliseconds, or a time such as "5m".';

/** Options of a second tier with their defaults, times in milliseconds. @internal */
export class ResolvedL2Options<V> {
  @OptionRule(isCount, TIME_ADVICE)
  readonly ttl: number = 3_600_000;

  @OptionRule(isCount, TIME_ADVICE)
  readonly timeout: number = 250;

  @OptionRule(isConnectionOrAbsent, CONNECTION_ADVICE)
  readonly connection: RedisConnection | undefined = undefined;

  @OptionRule(isTextOrAbsent, 'Give a text, or leave it out.')
  readonly keyPrefix: string | undefined = undefined;

  @OptionRule(
    isSerializer,
    'Give an object with serialize() and deserialize().',
  )
  serializer: L2Serializer<V> & Partial<CheckedSerializer<V>> = CHECKED_JSON;

  @OptionRule(
    isTypeOrAbsent,
    'Give a function that returns a class, such as () => User, and no serializer beside it.',
  )
  readonly type: (() => ValueClass) | undefined = undefined;

  @OptionRule(isBoolean, 'Give true or false.')
  readonly strict: boolean = false;

  @OptionRule(isBoolean, 'Give true or false.')
  readonly encrypt: boolean = false;

  @OptionRule(isBoolean, 'Give true or false.')
  readonly singleFlight: boolean = false;
}

/** Whether it is a whole number from 1 to the longest time of a timer. @internal */
export function isCount(value: unknown): boolean {
  const count = value as number;
  return Number.isSafeInteger(count) && count > 0 && count <= LONGEST_TIMER_MS;
}

function isConnectionOrAbsent(value: unknown): boolean {
  return value === undefined || isConnection(value);
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && value !== '');
}

function isSerializer(value: unknown): boolean {
  const given = value as Partial<L2Serializer<unknown>> | null;
  return (
    typeof given?.serialize === 'function' &&
    typeof given.deserialize === 'function'
  );
}

function isTypeOrAbsent(value: unknown, options: object): boolean {
  const { serializer } = options as ResolvedL2Options<never>;
  return (
    value === undefined ||
    (typeof value === 'function' && serializer === CHECKED_JSON)
  );
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}
