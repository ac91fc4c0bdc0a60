import {
  formatLsn,
  parseLsn,
  type CommitPosition,
} from '../../message/index.js';

/**
 * Runs queries: a pool or client of `pg`, PGlite, or an object around whatever the
 * application uses.
 *
 * @publicApi
 */
export interface PostgresQueries {
  query(text: string): PromiseLike<{ readonly rows: readonly unknown[] }>;
}

/** SQL for the end of the primary's log. Fails on a server in recovery. @internal */
export const LOG_END = 'pg_current_wal_insert_lsn()::text';

/**
 * The record of a commit takes 40 bytes at least, and the header of a page that may
 * follow it 24: a replica passes this distance from the end with the commit, also where
 * nothing follows.
 */
const BACK = 32n;

/**
 * A position in the last record before an end of the log, for changes that were
 * committed before the end was asked.
 *
 * @returns `null` if that is no end of a log
 * @internal
 */
export function positionBefore(end: unknown): string | null {
  const lsn = parseLsn(String(end));
  return lsn === null ? null : formatLsn(lsn > BACK ? lsn - BACK : 0n);
}

/**
 * Makes a function that asks a primary for the position of its log, to be called after a
 * commit: for `at` of `InvalidationScope.run()`, of the transaction adapters, of the
 * publisher and of `@InvalidatesCache()`.
 *
 * @param primary never a replica, and never the transaction itself
 * @param options.kind the name of its positions, that of `postgresReplica()`
 * @returns a function that rejects with what PostgreSQL answers, as in recovery
 * @example
 * ```ts
 * const position = postgresPosition(pool);
 * await pool.query('UPDATE users SET name = $1 WHERE id = $2', [name, id]);
 * await publisher.invalidate('User', id, { at: await position() });
 * ```
 * @publicApi
 */
export function postgresPosition(
  primary: PostgresQueries,
  { kind = 'pg' }: { readonly kind?: string } = {},
): () => Promise<CommitPosition> {
  return async () => {
    const { rows } = await primary.query(`select ${LOG_END} as log_end`);
    const [row] = rows as readonly { readonly log_end?: unknown }[];
    const position = positionBefore(row?.log_end);
    if (position === null) throw new TypeError('PostgreSQL told no position.');
    return { [kind]: position };
  };
}
