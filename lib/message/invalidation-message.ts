import { checkHeardType } from './cache-key.js';
import { keyPrefixOf, type AnyEntityType } from './entity-type.js';
import type { Invalidation } from './invalidation.js';
import { literalPrefix, matchesPattern } from './pattern.js';

/**
 * Why a message says more than what was changed: always because the exact truth
 * was out of reach, and a few cache misses are better than one stale entry.
 *
 * - `not-understood`: a readable message of an unknown action, type or version
 * - `reconnected`: the subscription was lost, and somebody publishes without a
 *   journal, so that what was missed is unknown
 * - `missed`: messages were missed, and the journal does not make up for them
 * - `started-late`: the application served before it heard its first message
 * - `stale`: for longer than `maxStaleness` nothing proved that all was heard
 * - `handler-overflow`: a handler fell behind by more than `handlerQueueLimit`
 *
 * @publicApi
 */
export type WidenedCause =
  | 'not-understood'
  | 'reconnected'
  | 'missed'
  | 'started-late'
  | 'stale'
  | 'handler-overflow';

/**
 * Fields that a tracing library sends along, such as the `traceparent` of W3C.
 *
 * @publicApi
 */
export type TraceContext = Readonly<Record<string, string>>;

/** The publisher of a message, its time, and the way on which it came. @publicApi */
export interface MessageEnvelope {
  /** A UUID. */
  readonly messageId: string;
  /** RFC 3339 in UTC, with up to nine digits of fraction. */
  readonly timestamp: string;
  readonly sourceService: string;
  /** The instance that published it; `null` from services that do not say. */
  readonly origin: string | null;
  /** Its place in the journal; `null` where none is kept. */
  readonly offset: string | null;
  /** The offset before its own; `null` where no journal is kept. */
  readonly previous: string | null;
  /** The publisher's trace; `null` where nothing is traced. */
  readonly trace: TraceContext | null;
  /** Whether this instance published it. Not on the wire. */
  readonly own: boolean;
  /** Why it was made coarser on purpose; `null` if it was not. Not on the wire. */
  readonly widened: WidenedCause | null;
}

/** An invalidation message, as it travels and as every consumer receives it. @publicApi */
export type InvalidationMessage = Invalidation & MessageEnvelope;

/**
 * Whether a cache entry must be dropped.
 *
 * @param key a cache key such as `user:123`
 * @publicApi
 */
export function affects(message: Invalidation, key: string): boolean {
  switch (message.action) {
    case 'Batch':
      return message.entityIds.includes(key);
    case 'Pattern':
      return matchesPattern(message.pattern, key);
    default:
      return keyOf(message.entityType, message.entityId) === key;
  }
}

/**
 * A test for "may this touch an entity of these types?", or of any if none is
 * given. Batches and patterns are looked into; a pattern that cannot be ruled
 * out passes.
 *
 * @throws InvalidMessageError for what is no type: nothing would ever touch it.
 * @internal
 */
export function concerns(
  types: readonly AnyEntityType[],
): (message: Invalidation) => boolean {
  if (types.length === 0) return () => true;
  const starts = types.map((type) => `${keyPrefixOf(checkHeardType(type))}:`);
  return (message) => {
    switch (message.action) {
      case 'Batch':
        return mayName(message.entityIds, starts);
      case 'Pattern': {
        const literal = literalPrefix(message.pattern);
        return starts.some(
          (start) => start.startsWith(literal) || literal.startsWith(start),
        );
      }
      default: {
        // Others' types may hold a colon, of which only the first one counts.
        const key = `${keyPrefixOf(message.entityType)}:`;
        return starts.some((start) => key.startsWith(start));
      }
    }
  };
}

/** Batches of so many keys are looked through once for all who ask. */
const LARGE_BATCH = 1_000;

/** A pure memo of the last large batch, which is never changed. */
let families: {
  readonly keys: readonly string[];
  readonly names: ReadonlySet<string>;
} | null = null;

/**
 * Whether keys of a batch may begin with one of these; of a large batch only the
 * parts before the first colons are compared.
 *
 * @internal
 */
export function mayName(
  keys: readonly string[],
  starts: readonly string[],
): boolean {
  if (keys.length < LARGE_BATCH) {
    return keys.some((key) => starts.some((start) => key.startsWith(start)));
  }
  if (families?.keys !== keys) {
    families = { keys, names: new Set(keys.map(beforeColon)) };
  }
  const { names } = families;
  return starts.some((start) => names.has(beforeColon(start)));
}

/**
 * The cache keys that a message names, or `null` if it is a pattern: then ask
 * `affects` of each key you hold.
 *
 * @publicApi
 */
export function keysOf(message: Invalidation): readonly string[] | null {
  if (message.action === 'Pattern') return null;
  if (message.action === 'Batch') return message.entityIds;
  return [keyOf(message.entityType, message.entityId)];
}

/**
 * The key prefixes that cover a message; `''` where only everything does.
 *
 * @internal
 */
export function prefixesOf(message: Invalidation): string[] {
  switch (message.action) {
    case 'Batch':
      return message.entityIds.map(beforeColon);
    case 'Pattern':
      return [beforeColon(literalPrefix(message.pattern))];
    default:
      return [keyPrefixOf(message.entityType)];
  }
}

function beforeColon(text: string): string {
  return text.slice(0, Math.max(0, text.indexOf(':')));
}

// Received ids are taken as they are: the checks of buildCacheKey are for input.
function keyOf(type: string, id: string): string {
  return `${keyPrefixOf(type)}:${id}`;
}
