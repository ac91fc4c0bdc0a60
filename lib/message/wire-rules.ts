import { InvalidMessageError } from '../errors/index.js';

/**
 * The values that each field of the wire may hold. The codec and the
 * class-validator schema are both made of these rules, so they cannot disagree.
 */

const DASH = '-'.charCodeAt(0);

/** Deeper metadata is dropped: it could exhaust the stack of a reader. */
export const MAX_METADATA_DEPTH = 32;

/**
 * Whether a value has the length of a UUID and its first and last dash. The digits do
 * not matter, and checking each costs a tenth of the parse.
 *
 * @internal
 */
export function isUuid(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length === 36 &&
    value.charCodeAt(8) === DASH &&
    value.charCodeAt(23) === DASH
  );
}

/** @internal */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

/** @internal */
export function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText);
}

/** Whether a value may be a cache key of some service; a bare id is not. @internal */
export function isWireKey(value: unknown): value is string {
  return isText(value) && value.indexOf(':') > 0;
}

/** `"User"`, `{"Custom":"session"}`, or a form of a version to come. @internal */
export function isWireEntityType(value: unknown): boolean {
  if (!isObject(value)) return isText(value);
  const named = !Object.hasOwn(value, 'Custom') || isText(value['Custom']);
  return named && isSafeJson(value);
}

/** @internal */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Whether a JSON value can safely be passed on: no key that reaches a prototype when
 * it is merged, no infinite number, no lone surrogate, no bottomless nesting.
 *
 * @internal
 */
export function isSafeJson(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value === 'boolean') return true;
  if (typeof value !== 'object' || depth >= MAX_METADATA_DEPTH) return false;
  if (Array.isArray(value)) {
    return value.every((item) => isSafeJson(item, depth + 1));
  }
  return Object.entries(value).every(
    ([key, item]) =>
      key !== '__proto__' &&
      !(key === 'constructor' && isObject(item) && 'prototype' in item) &&
      key.isWellFormed() &&
      isSafeJson(item, depth + 1),
  );
}

/** @internal */
export function refuse(field: string, expected: string): never {
  throw new InvalidMessageError(
    `Not an invalidation message: ${field} is not ${expected}.`,
    'Another program publishes something else on this channel, or uses another version of the format.',
    field,
  );
}

/** @internal */
export function isLongerThan(payload: string, maxBytes: number): boolean {
  // One UTF-16 unit is at most three bytes, so bytes are rarely counted.
  return (
    payload.length > maxBytes ||
    (payload.length * 3 > maxBytes && Buffer.byteLength(payload) > maxBytes)
  );
}
