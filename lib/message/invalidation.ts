import { InvalidMessageError } from '../errors/index.js';
import {
  checkEntityId,
  checkEntityType,
  checkText,
  isCacheKey,
  show,
  type EntityId,
} from './cache-key.js';
import type { AnyEntityType, EntityType } from './entity-type.js';
import { isMatchAll, MAX_PATTERN_LENGTH } from './pattern.js';

/** One entity was deleted, or updated ("changed, you may refresh"). @publicApi */
export interface EntityInvalidation {
  readonly action: 'Delete' | 'Update';
  readonly entityType: AnyEntityType;
  readonly entityId: string;
  readonly pattern: null;
  readonly entityIds: null;
  /** Any JSON value; `null` where there is none. */
  readonly metadata: unknown;
}

/** All keys that a Redis glob matches. @publicApi */
export interface PatternInvalidation {
  readonly action: 'Pattern';
  readonly entityType: 'pattern';
  readonly entityId: null;
  readonly pattern: string;
  readonly entityIds: null;
  readonly metadata: unknown;
}

/** Several keys at once. @publicApi */
export interface BatchInvalidation {
  readonly action: 'Batch';
  readonly entityType: 'batch';
  readonly entityId: null;
  readonly pattern: null;
  /** Cache keys (`user:1`), not bare ids. */
  readonly entityIds: readonly string[];
  readonly metadata: unknown;
}

/** The entries to evict, before a publisher makes a message of it. @publicApi */
export type Invalidation =
  EntityInvalidation | PatternInvalidation | BatchInvalidation;

/** Options of `entity()`. @publicApi */
export interface InvalidationContent {
  /** @default 'Delete' */
  readonly action?: 'Delete' | 'Update';
  /** Any JSON value, for the readers of the message. @default null */
  readonly metadata?: unknown;
}

/**
 * One entity.
 *
 * @throws InvalidMessageError for an impossible type or id.
 * @publicApi
 */
export function entity(
  type: EntityType,
  id: EntityId,
  content?: InvalidationContent,
): EntityInvalidation {
  const { action = 'Delete', metadata = null } = content ?? {};
  return {
    action,
    entityType: checkEntityType(type),
    entityId: checkEntityId(id),
    pattern: null,
    entityIds: null,
    metadata,
  };
}

/**
 * Several cache keys (build them with `buildCacheKey`).
 *
 * @throws InvalidMessageError if one is not a cache key.
 * @publicApi
 */
export function batch(
  keys: readonly string[],
  metadata: unknown = null,
): BatchInvalidation {
  return batchOf(keys, metadata, isCacheKey);
}

/** A batch of keys that pass a check. @internal */
export function batchOf(
  keys: unknown,
  metadata: unknown,
  isKey: (key: unknown) => key is string,
): BatchInvalidation {
  // A frozen copy: it may wait in a queue, and all consumers share it.
  const copy: readonly unknown[] = Array.isArray(keys) ? [...keys] : [];
  const wrong = copy.findIndex((key) => !isKey(key));
  if (wrong !== -1 || !Array.isArray(keys)) {
    throw new InvalidMessageError(
      `${show(Array.isArray(keys) ? copy[wrong] : keys)} is not a cache key.`,
      'A batch takes cache keys such as "user:123"; buildCacheKey makes them.',
      'entity_ids',
    );
  }
  return {
    action: 'Batch',
    entityType: 'batch',
    entityId: null,
    pattern: null,
    entityIds: Object.freeze(copy as string[]),
    metadata,
  };
}

/**
 * All keys that a Redis glob matches.
 *
 * @throws InvalidMessageError for an empty or overlong pattern, and for one
 * that matches everything: `everything()` and `invalidateAll()` are for that.
 * @publicApi
 */
export function pattern(
  glob: string,
  metadata: unknown = null,
): PatternInvalidation {
  if (typeof glob !== 'string' || glob === '') {
    throw new InvalidMessageError(
      `${show(glob)} is not a pattern.`,
      'Give a Redis glob such as "feed:42:*".',
      'pattern',
    );
  }
  if (glob.length > MAX_PATTERN_LENGTH) {
    throw new InvalidMessageError(
      `The pattern has ${glob.length} characters.`,
      `At most ${MAX_PATTERN_LENGTH} are allowed; publish several, or a coarser one.`,
      'pattern',
    );
  }
  if (isMatchAll(glob)) {
    throw new InvalidMessageError(
      `The pattern ${show(glob)} matches every key of every cache.`,
      'If that is meant, call invalidateAll().',
      'pattern',
    );
  }
  return patternOf(checkText(glob, 'pattern'), metadata);
}

/** Every key of every cache. @publicApi */
export function everything(metadata: unknown = null): PatternInvalidation {
  return patternOf('*', metadata);
}

/** A pattern that needs no check. @internal */
export function patternOf(
  glob: string,
  metadata: unknown = null,
): PatternInvalidation {
  return {
    action: 'Pattern',
    entityType: 'pattern',
    entityId: null,
    pattern: glob,
    entityIds: null,
    metadata,
  };
}
