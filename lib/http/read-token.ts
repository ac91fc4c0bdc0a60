import { compareOffsets, isOffset, isRegion } from '../message/index.js';

/** Characters and regions that a header may have: clients may send anything. */
const LIMITS = { length: 1_024, regions: 16 };

/**
 * Offsets that a client has come to, by the region of their journal. Without regions it
 * is one offset, of the region `''`.
 *
 * @internal
 */
export type ReadToken = Map<string, string>;

/**
 * Reads a header: an offset of this region, or `eu=1763846400000-5,us=1763846400007-12`.
 * Parts that cannot be read are left out.
 *
 * @param local this region; `''` without regions
 * @internal
 */
export function parseToken(header: unknown, local: string): ReadToken {
  const token: ReadToken = new Map();
  if (isOffset(header)) return token.set(local, header);
  if (typeof header !== 'string' || header.length > LIMITS.length) return token;
  for (const part of header.split(',').slice(0, LIMITS.regions)) {
    const [region, offset] = part.trim().split('=');
    if (isRegion(region) && isOffset(offset)) add(token, region, offset);
  }
  return token;
}

/** Writes a header. @internal */
export function formatToken(token: ReadToken): string {
  const parts = [...token].map(([region, offset]) =>
    region === '' ? offset : `${region}=${offset}`,
  );
  return parts.join();
}

/**
 * Adds later offsets to a token.
 *
 * @returns whether there were any
 * @internal
 */
export function mergeToken(token: ReadToken, other: ReadToken): boolean {
  const added = [...other].map(([region, offset]) =>
    add(token, region, offset),
  );
  return added.includes(true);
}

function add(token: ReadToken, region: string, offset: string): boolean {
  const before = token.get(region);
  if (before !== undefined && compareOffsets(offset, before) <= 0) return false;
  if (before === undefined && token.size >= LIMITS.regions) return false;
  token.set(region, offset);
  return true;
}
