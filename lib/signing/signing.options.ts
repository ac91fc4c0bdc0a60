/**
 * Keys that sign messages and entries of the second tier.
 *
 * @publicApi
 */
export interface SigningOptions {
  /**
   * Secrets by their ids: at least 32 random bytes each, in base64 or as bytes. An id
   * has up to 32 letters, digits, dots, dashes and underscores.
   */
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
  /**
   * The id of the key that signs. Required with several keys if an id is a number,
   * since JavaScript puts those first.
   *
   * @default the first one
   */
  readonly signWith?: string;
  /**
   * `signed` obeys only what is signed with one of the keys; `all` obeys unsigned
   * messages and unknown keys as well, until every service signs.
   *
   * @default 'signed'
   */
  readonly accept?: 'signed' | 'all';
}

/** The fix of wrong signing options. @internal */
export const SIGNING_ADVICE =
  'Give { keys: { "2026-11": secret } } with at least 32 random bytes in base64 (openssl rand -base64 32; in the environment CACHE_INVALIDATION_SIGNING_KEYS=id:secret,…), signWith with the id of one of them, and accept with "signed" or "all".';

const LEAST_BYTES = 32;
const NUMBER = /^\d+$/;
const KEY_ID = /^[\w.-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/** @internal */
export function isSigning(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { keys, signWith, accept, ...others } =
    value as Partial<SigningOptions>;
  if (typeof keys !== 'object' || keys === null) return false;
  const ids = Object.keys(keys);
  const isFirstClear = ids.length === 1 || !ids.some((id) => NUMBER.test(id));
  return (
    !Array.isArray(keys) &&
    ids.length > 0 &&
    (signWith !== undefined || isFirstClear) &&
    ids.every((id) => KEY_ID.test(id) && isSecret(keys[id])) &&
    (signWith === undefined || ids.includes(signWith)) &&
    (accept === undefined || accept === 'signed' || accept === 'all') &&
    Object.keys(others).length === 0
  );
}

/** The bytes of a secret. @internal */
export function bytesOf(secret: string | Uint8Array): Uint8Array {
  return typeof secret === 'string' ? Buffer.from(secret, 'base64') : secret;
}

/**
 * Reads the options from the environment: `id:base64,…`, of which the first signs.
 * Returns another text for what cannot be read, so that the check names the option:
 * the words of ACCEPT without keys, too, which a secret store may have failed to give.
 *
 * @internal
 */
export function signingFrom(
  keys: unknown,
  accept: unknown,
): SigningOptions | string | undefined {
  const given = trimmed(keys);
  const accepted = trimmed(accept);
  if (given === '') return accepted === '' ? undefined : 'without keys';
  const pairs = given.split(',').map((pair) => pair.trim().split(':'));
  const [[signWith = ''] = []] = pairs;
  const ids = new Set(pairs.map(([id]) => id));
  if (ids.size < pairs.length || pairs.some((pair) => pair.length !== 2)) {
    return 'unreadable';
  }
  return {
    keys: Object.fromEntries(pairs) as Record<string, string>,
    signWith,
    ...(accepted !== '' && { accept: accepted as 'signed' | 'all' }),
  };
}

function trimmed(value: unknown): string {
  return typeof value === 'string' ? value.trim() : '';
}

function isSecret(secret: unknown): boolean {
  if (typeof secret === 'string' && !BASE64.test(secret)) return false;
  return (
    (typeof secret === 'string' || secret instanceof Uint8Array) &&
    bytesOf(secret).length >= LEAST_BYTES
  );
}
