import type { CacheInvalidationOptions } from './cache-invalidation.options.js';
import { IsInt, LONGEST_TIMER_MS, Max, Min } from './common/index.js';
import { entityTypeOf, keyPrefixOf } from './message/index.js';
import type { DurableOutbox } from './publisher/index.js';
import { sharesJournal } from './transport/index.js';

/** Requires a time that Node's timers can wait for, in milliseconds. @internal */
export function Milliseconds(): PropertyDecorator {
  return Whole(
    'Give a whole number of milliseconds, from 1 to 2147483647, or a time such as "10s" or "5m".',
    1,
    LONGEST_TIMER_MS,
  );
}

/** Requires a whole number with a lower bound. @internal */
export function Count(least = 1): PropertyDecorator {
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

/** The rule of an option without a default. @internal */
export function isAbsentOr(
  isRight: (value: unknown) => boolean,
): (value: unknown) => boolean {
  return (value) => value === undefined || isRight(value);
}

/** @internal */
export function isServiceName(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    value.trim() !== '' &&
    value.length <= 256 &&
    value.isWellFormed()
  );
}

/** @internal */
export function isChannelName(value: unknown): boolean {
  return typeof value === 'string' && /\S/.test(value);
}

/** Whether no other channel name leads to this channel's journal. @internal */
export function hasOwnJournal(channel: unknown): boolean {
  return typeof channel !== 'string' || !sharesJournal(channel);
}

/** @internal */
export function isJournal(value: unknown): boolean {
  if (value === false) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { maxLength, ...others } = value as { maxLength?: unknown };
  return (
    Number.isSafeInteger(maxLength) &&
    (maxLength as number) >= 1 &&
    Object.keys(others).length === 0
  );
}

/** Sharding requires the channel and its journal's key to share a hash slot. @internal */
export function canBeSharded(
  sharded: unknown,
  { channel }: Partial<CacheInvalidationOptions>,
): boolean {
  return (
    sharded !== true || !/[{}]/.test(String(channel).replace(/\{[^{}]+\}/, ''))
  );
}

/** @internal */
export function exceedsHeartbeat(
  value: unknown,
  {
    heartbeatInterval = 0,
    heartbeatTimeout = 0,
  }: Partial<CacheInvalidationOptions>,
): boolean {
  return (
    value === 0 ||
    (Number.isInteger(value) &&
      (value as number) > heartbeatInterval + heartbeatTimeout &&
      (value as number) <= LONGEST_TIMER_MS)
  );
}

/** @internal */
export function isByEntityType(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(
      ([type, rule]) => typeof rule === 'function' && isEntityType(type),
    )
  );
}

/** Whether a name is the one that cache keys lead back to: `User`, never `user`. */
function isEntityType(type: string): boolean {
  return (
    type !== '' &&
    !type.includes(':') &&
    type.isWellFormed() &&
    entityTypeOf(keyPrefixOf(type)) === type
  );
}

/** @internal */
export function isDurableOutbox(value: unknown): boolean {
  const { pending, remove } = (value ?? {}) as Partial<DurableOutbox>;
  return typeof pending === 'function' && typeof remove === 'function';
}

/** @internal */
export function mayHaveOutbox(
  outbox: unknown,
  { role }: Partial<CacheInvalidationOptions>,
): boolean {
  return outbox === undefined || role !== 'subscriber';
}

/** Whether regions have the journal that they need. @internal */
export function isJournaledIn(
  regions: unknown,
  { journal }: Partial<CacheInvalidationOptions>,
): boolean {
  return regions === undefined || journal !== false;
}
