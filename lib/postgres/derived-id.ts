import { createHash } from 'node:crypto';

/** A UUID that is made of a name, so that a transaction's messages have it again. @internal */
export function uuidOf(name: string): string {
  const hex = createHash('sha1').update(name).digest('hex');
  // Version 8 and the variant of RFC 9562.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
