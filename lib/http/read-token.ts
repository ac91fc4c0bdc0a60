import {
  compareOffsets,
  isOffset,
  isRegion,
  positionAt,
  type CommitPosition,
  type Lsn,
} from '../message/index.js';

/** Characters and parts that a header may have: clients may send anything. */
const LIMITS = { length: 1_024, parts: 17 };

/**
 * The name of the part with a position in PostgreSQL's log: no region can have it, so
 * that instances which know no positions leave it out.
 *
 * @internal
 */
export const POSITION = '@pg';

/** Bits of each half of a position. */
const HALF = 32n;

/**
 * Offsets that a client has come to, by the region of their journal. Without regions it
 * is one offset, of the region `''`. The position of its last commit is one more part, of
 * the form of an offset: clients compare all parts in one way.
 *
 * @internal
 */
export type ReadToken = Map<string, string>;

/**
 * Reads a header: an offset of this region, or parts such as
 * `eu=1763846400000-5,us=1763846400007-12,@pg=0-23803720`. Parts that cannot be read are
 * left out.
 *
 * @param local this region; `''` without regions
 * @internal
 */
export function parseToken(header: unknown, local: string): ReadToken {
  const token: ReadToken = new Map();
  if (typeof header !== 'string' || header.length > LIMITS.length) return token;
  for (const part of header.split(',').slice(0, LIMITS.parts)) {
    const text = part.trim();
    const end = text.indexOf('=');
    const name = end < 0 ? local : text.slice(0, end);
    const offset = text.slice(end + 1);
    if (isPart(name, offset, local)) add(token, name, offset);
  }
  return token;
}

/** Writes a header. @internal */
export function formatToken(token: ReadToken): string {
  const parts = [...token].map(([name, offset]) =>
    name === '' ? offset : `${name}=${offset}`,
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
  const added = [...other].map(([name, offset]) => add(token, name, offset));
  return added.includes(true);
}

/** Offset and position that a request has come to in this region by its own messages. @internal */
export function tokenOf(
  local: string,
  offset: string | null,
  lsn: Lsn | null,
): ReadToken {
  const token: ReadToken = new Map();
  if (offset !== null) token.set(local, offset);
  if (lsn !== null) {
    const [high, low] = [lsn >> HALF, BigInt.asUintN(Number(HALF), lsn)];
    token.set(POSITION, `${high}-${low}`);
  }
  return token;
}

/** The journals' offsets of a token, by region. @internal */
export function offsetsIn(token: ReadToken): [string, string][] {
  return [...token].filter(([name]) => name !== POSITION);
}

/** The position of the last commit in a token; `null` if it has none. @internal */
export function positionIn(token: ReadToken): CommitPosition | null {
  const part = token.get(POSITION);
  if (part === undefined) return null;
  const [high = 0n, low = 0n] = part.split('-').map(BigInt);
  return positionAt((high << HALF) | low);
}

function isPart(name: string, offset: string, local: string): boolean {
  if (!isOffset(offset)) return false;
  if (name !== POSITION) return name === local || isRegion(name);
  return offset.split('-').every((half) => BigInt(half) >> HALF === 0n);
}

function add(token: ReadToken, name: string, offset: string): boolean {
  const before = token.get(name);
  if (before !== undefined && compareOffsets(offset, before) <= 0) return false;
  if (before === undefined && token.size >= LIMITS.parts) return false;
  token.set(name, offset);
  return true;
}
