import { InvalidMessageError } from '../errors/index.js';
import { show } from './cache-key.js';
import { formatLsn, parseLsn, type Lsn } from './lsn.js';
import { isNamedTexts } from './named-texts.js';

/**
 * A position in the log of a database at which a change was committed, by the kind of
 * the database: `{ pg: '0/16B3748' }`. One that is too late costs a few loads from the
 * primary; one that is too early lets old rows of a replica be kept.
 *
 * @publicApi
 */
export type CommitPosition = Readonly<Record<string, string>>;

/** The kind whose positions the library can compare by itself. */
const POSTGRES = 'pg';

/** The position in PostgreSQL's log; `null` if there is none. @internal */
export function lsnIn(at: CommitPosition | null): Lsn | null {
  const { [POSTGRES]: text = '' } = at ?? {};
  return parseLsn(text);
}

/** @internal */
export function positionAt(lsn: Lsn): CommitPosition {
  return { [POSTGRES]: formatLsn(lsn) };
}

/**
 * Checks a position that a caller gives.
 *
 * @returns a copy
 * @throws InvalidMessageError if receivers could not read it
 * @internal
 */
export function checkPosition(given: unknown): CommitPosition {
  const { [POSTGRES]: lsn = '0/0' } = isNamedTexts(given) ? given : {};
  if (isNamedTexts(given) && parseLsn(lsn) !== null) {
    return Object.freeze({ ...given });
  }
  throw new InvalidMessageError(
    `${show(given)} is no position of a commit.`,
    "Give texts by the kind of the database, such as { pg: '0/16B3748' }, or leave `at` out.",
    'at',
  );
}

/**
 * The position of a message that stands for two: the later one.
 *
 * @returns `null` if one of them is not known, or they cannot be compared; receivers ask
 * their own database then
 * @internal
 */
export function laterPosition(
  one: CommitPosition | null,
  other: CommitPosition | null,
): CommitPosition | null {
  if (one === other || one === null || other === null) {
    return one === other ? one : null;
  }
  const [kind, another] = Object.keys(one);
  const isOfOneKind = another === undefined && Object.keys(other).length === 1;
  if (kind === undefined || !isOfOneKind || !Object.hasOwn(other, kind)) {
    return null;
  }
  const [text, otherText] = [one[kind]!, other[kind]!];
  if (text === otherText) return one;
  if (kind !== POSTGRES) return null;
  const [lsn, otherLsn] = [parseLsn(text), parseLsn(otherText)];
  if (lsn === null || otherLsn === null) return null;
  return lsn < otherLsn ? other : one;
}
