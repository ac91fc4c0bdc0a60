import { checkHeardType } from './cache-key.js';
import type { CommitPosition } from './commit-position.js';
import { keyPrefixOf, type AnyEntityType } from './entity-type.js';
import type { Invalidation } from './invalidation.js';
import { literalPrefix, matchesPattern } from './pattern.js';

/**
 * The reason why a message covers more than was changed: the exact change was
 * unknown, and a few cache misses are better than one stale entry.
 *
 * - `not-understood`: a readable message of an unknown action, type or version
 * - `reconnected`: the subscription was lost, and some service publishes without a
 *   journal, so that the missed messages are unknown
 * - `missed`: messages were missed, and the journal does not hold them
 * - `started-late`: the application served before it was connected
 * - `stale`: for longer than `maxStaleness` there was no proof that every message was received
 * - `new-connection`: a cache with a `maxStaleness` of its own begins anew: all of its
 *   entity type
 * - `handler-overflow`: a handler fell behind by more than `handlerQueueLimit`
 * - `unverified`: messages could not be verified (option `signing`), and may be of a
 *   service with another key
 *
 * @publicApi
 */
export type WidenedCause =
  | 'not-understood'
  | 'reconnected'
  | 'missed'
  | 'started-late'
  | 'stale'
  | 'new-connection'
  | 'handler-overflow'
  | 'unverified';

/**
 * Fields of a tracing library, such as the `traceparent` of W3C.
 *
 * @publicApi
 */
export type TraceContext = Readonly<Record<string, string>>;

/** The publisher of a message, its time, and its delivery. @publicApi */
export interface MessageEnvelope {
  /** A UUID. */
  readonly messageId: string;
  /** RFC 3339 in UTC, with up to nine digits of fraction. */
  readonly timestamp: string;
  readonly sourceService: string;
  /** The origin: the instance that published it; `null` if the publisher sends none. */
  readonly origin: string | null;
  /** Its place in the journal; `null` without a journal. */
  readonly offset: string | null;
  /** The offset before its own in the journal; `null` without a journal. */
  readonly previous: string | null;
  /** The publisher's trace; `null` if it traces nothing. */
  readonly trace: TraceContext | null;
  /** The position of the change's commit in the database's log; `null` if not said. */
  readonly at: CommitPosition | null;
  /** The region in which it was published first; `null` without regions. */
  readonly region: string | null;
  /** Regions that relayed it, in order; `null` in the region in which it was published. */
  readonly path: readonly string[] | null;
  /** Whether this instance published it. Not on the wire. */
  readonly own: boolean;
  /** Why it was made coarser on purpose; `null` if it was not. Not on the wire. */
  readonly widened: WidenedCause | null;
}

/** An invalidation message, as it travels and as every consumer receives it. @publicApi */
export type InvalidationMessage = Invalidation & MessageEnvelope;

/**
 * Whether a message evicts a cache entry.
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
 * Returns a test whether a message may touch an entity of these types, or of any type
 * if none is given. Batches and patterns are looked into; a pattern that cannot be
 * ruled out passes.
 *
 * @throws InvalidMessageError for an impossible type, which no message ever touches.
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
        // Types of other programs may hold colons, of which only the first counts.
        const key = `${keyPrefixOf(message.entityType)}:`;
        return starts.some((start) => key.startsWith(start));
      }
    }
  };
}

/** Batches of so many keys are searched once for all consumers. */
const LARGE_BATCH = 1_000;

/** A pure memo of the last large batch, which is never changed. */
let families: {
  readonly keys: readonly string[];
  readonly names: ReadonlySet<string>;
} | null = null;

/**
 * Whether a key of a batch may begin with one of these. In a large batch only the
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
 * The cache keys that a message names, or `null` for a pattern: then call `affects`
 * for each key you hold.
 *
 * @publicApi
 */
export function keysOf(message: Invalidation): readonly string[] | null {
  if (message.action === 'Pattern') return null;
  if (message.action === 'Batch') return message.entityIds;
  return [keyOf(message.entityType, message.entityId)];
}

/**
 * The key prefixes that cover a message; `''` for everything.
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

/**
 * The cache key of an entity. Received ids are used as they are: the checks of
 * `buildCacheKey` are for input.
 *
 * @internal
 */
export function keyOf(type: string, id: string): string {
  return `${keyPrefixOf(type)}:${id}`;
}
