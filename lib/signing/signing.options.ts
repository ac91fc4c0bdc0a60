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
  /** The id of the key that signs. @default the first one */
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
const KEY_ID = /^[\w.-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/** @internal */
export function isSigning(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { keys, signWith, accept, ...others } =
    value as Partial<SigningOptions>;
  if (typeof keys !== 'object' || keys === null) return false;
  const ids = Object.keys(keys);
  return (
    ids.length > 0 &&
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
 * A text that cannot be read is returned as it is, so that the check names it.
 *
 * @internal
 */
export function signingFrom(
  keys: unknown,
  accept: unknown,
): SigningOptions | string | undefined {
  if (typeof keys !== 'string' || keys.trim() === '') return undefined;
  const pairs = keys.split(',').map((pair) => pair.trim().split(':'));
  if (pairs.some((pair) => pair.length !== 2)) return 'unreadable';
  const [[signWith = ''] = []] = pairs;
  return {
    keys: Object.fromEntries(pairs) as Record<string, string>,
    signWith,
    ...(typeof accept === 'string' &&
      accept.trim() !== '' && { accept: accept.trim() as 'signed' | 'all' }),
  };
}

function isSecret(secret: unknown): boolean {
  if (typeof secret === 'string' && !BASE64.test(secret)) return false;
  return (
    (typeof secret === 'string' || secret instanceof Uint8Array) &&
    bytesOf(secret).length >= LEAST_BYTES
  );
}
