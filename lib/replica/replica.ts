import type { CommitPosition } from '../message/index.js';

/**
 * A read-only copy of a database that lags behind its primary: `postgresReplica()`, or
 * one of your own. Positions are texts of the database's log.
 *
 * @example
 * ```ts
 * const replica: Replica = {
 *   kind: 'mydb',
 *   applied: () => readPool.position(),
 *   isBefore: (one, other) => BigInt(one) < BigInt(other),
 *   current: () => writePool.position(),
 * };
 * ```
 * @publicApi
 */
export interface Replica {
  /**
   * The name of its positions in `at`, such as `pg`.
   *
   * @default whichever a message has, if it has one only
   */
  readonly kind?: string;
  /** Up to where it has replayed; `'everything'` from a primary. */
  applied(): Promise<string>;
  /**
   * Whether one position lies before another.
   *
   * @throws for a text that is no position: the message counts as one without
   */
  isBefore(one: string, other: string): boolean;
  /**
   * The position of the primary now, asked at the start and for invalidations without a
   * position, once for all that arrive together. Without it such an invalidation stays
   * marked, and rows loaded right after the start may be old.
   */
  current?(): Promise<string>;
  /**
   * Adds a listener that is called at each new connection to the replica, which may lead to
   * another server, or to one that was restarted and has replayed less than before.
   *
   * @returns a function that removes it
   */
  onConnect?(listener: () => void): () => void;
}

/** The position of a server that is no replica, or not any more. @internal */
export const EVERYTHING = 'everything';

/**
 * The position of a message's commit in the log of a replica's database.
 *
 * @returns `null` if the message has none that can be read
 * @internal
 */
export function positionIn(
  at: CommitPosition | null,
  replica: Replica,
): string | null {
  if (at === null) return null;
  try {
    const names = Object.keys(at);
    const name = replica.kind ?? (names.length === 1 ? names[0]! : '');
    const position = Object.hasOwn(at, name) ? at[name]! : null;
    if (position === null) return null;
    const answer: unknown = replica.isBefore(position, position);
    // Untyped code may answer with a promise.
    return answer === false ? position : null;
  } catch {
    return null;
  }
}
