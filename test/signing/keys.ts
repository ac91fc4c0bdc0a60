import type { SigningOptions } from 'nestjs-cache-invalidation';

/** Secrets of tests: any 32 bytes. */
export const OLD = Buffer.alloc(32, 1).toString('base64');
export const NEW = Buffer.alloc(32, 2).toString('base64');
export const STRANGE = Buffer.alloc(32, 3).toString('base64');

export function signing(
  keys: Record<string, string> = { new: NEW },
  others: Omit<SigningOptions, 'keys'> = {},
): SigningOptions {
  return { keys, ...others };
}
