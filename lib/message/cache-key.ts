import { InvalidMessageError, MissingIdError } from '../errors/index.js';
import {
  entityTypeOf,
  isBuiltInEntityType,
  keyPrefixOf,
  type AnyEntityType,
  type EntityType,
} from './entity-type.js';
import { escapePattern } from './pattern.js';

/**
 * An entity's id in a program. Numbers and bigints are written in
 * decimal. A whole number beyond `Number.MAX_SAFE_INTEGER` is refused, since it
 * may have been another row's id before it was rounded: give a bigint or a string.
 *
 * @publicApi
 */
export type EntityId = string | number | bigint;

/** The parts of a cache key. @publicApi */
export interface CacheKeyParts {
  readonly entityType: AnyEntityType;
  readonly entityId: string;
}

/**
 * `buildCacheKey('User', 123)` is `'user:123'`; a custom type stays as it is:
 * `buildCacheKey('session', 'abc')` is `'session:abc'`.
 *
 * @throws InvalidMessageError for an empty id or type, a number that is not
 * finite or a whole number that is not safe, a type with a colon in it, or text
 * that is not well-formed Unicode.
 * @publicApi
 */
export function buildCacheKey(type: EntityType, id: EntityId): string {
  return cacheKeysStart(type) + checkEntityId(id);
}

/**
 * The beginning of all cache keys of an entity type: `user:` for `User`.
 *
 * @throws InvalidMessageError for an empty type, or one with a colon in it.
 * @internal
 */
export function cacheKeysStart(type: EntityType): string {
  return `${keyPrefixOf(checkEntityType(type))}:`;
}

/**
 * Splits at the first colon, so ids may contain colons. `null` for a string
 * that is not a cache key.
 *
 * @publicApi
 */
export function parseCacheKey(key: string): CacheKeyParts | null {
  if (!isCacheKey(key)) return null;
  const colon = key.indexOf(':');
  return {
    entityType: entityTypeOf(key.slice(0, colon)),
    entityId: key.slice(colon + 1),
  };
}

/** The type a cache key belongs to, or `null` if it is not one. @publicApi */
export function extractEntityType(key: string): AnyEntityType | null {
  return parseCacheKey(key)?.entityType ?? null;
}

/**
 * Whether a value is a string with a type, a colon and an id. `User:1` is not: the
 * key of that entity is `user:1`.
 *
 * @publicApi
 */
export function isCacheKey(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const colon = value.indexOf(':');
  return (
    colon > 0 &&
    colon < value.length - 1 &&
    !isBuiltInEntityType(value.slice(0, colon)) &&
    value.isWellFormed()
  );
}

/**
 * The glob of an entity type's keys: `buildPattern('User')` is `'user:*'`,
 * `buildPattern('Feed', '42:*')` is `'feed:42:*'`. The type is taken literally,
 * `idPattern` is a glob.
 *
 * @throws InvalidMessageError as {@link buildCacheKey}.
 * @publicApi
 */
export function buildPattern(type: EntityType, idPattern = '*'): string {
  return `${escapePattern(keyPrefixOf(checkEntityType(type)))}:${checkEntityId(idPattern)}`;
}

/** @internal */
export function checkEntityType(type: string): string {
  if (typeof type === 'string' && type.includes(':')) throw notAType(type);
  return checkHeardType(type);
}

/** One that somebody may name: others may put a colon in it. @internal */
export function checkHeardType(type: string): string {
  if (typeof type !== 'string' || type === '') throw notAType(type);
  return checkText(type, 'entity_type');
}

function notAType(type: unknown): InvalidMessageError {
  return new InvalidMessageError(
    `${show(type)} is not an entity type.`,
    'Give a non-empty name without a colon, such as "User" or "session".',
    'entity_type',
  );
}

/** @internal */
export function checkEntityId(id: EntityId): string {
  if (typeof id === 'string' && id !== '') return checkText(id, 'entity_id');
  if (typeof id === 'bigint') return String(id);
  if (typeof id !== 'number' || !Number.isFinite(id)) throw notAnEntityId(id);
  if (Number.isInteger(id) && !Number.isSafeInteger(id)) {
    throw new InvalidMessageError(
      `${id} is not an entity id: a number of this size is rounded, and may be the id of another entity.`,
      'Give a bigint or a string, from where the id is read.',
      'entity_id',
    );
  }
  return String(id);
}

/** @internal */
export function notAnEntityId(id: unknown): InvalidMessageError {
  const Kind =
    id === undefined || id === null ? MissingIdError : InvalidMessageError;
  return new Kind(
    `${show(id)} is not an entity id.`,
    'Give a non-empty string, a finite number or a bigint.',
    'entity_id',
  );
}

/** @internal */
export function checkText(text: string, field: string): string {
  // JSON would carry a lone surrogate, UTF-8 cannot: another service would see
  // another key.
  if (!text.isWellFormed()) {
    throw new InvalidMessageError(
      `${show(text)} is not well-formed Unicode.`,
      'It has half of a surrogate pair: it was probably cut in the middle.',
      field,
    );
  }
  return text;
}

/** A value for an error message: short, quoted, never throws. @internal */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (value === null || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? 'an array' : 'an object';
}
