import type { CommitPosition } from '../../message/index.js';
import { LOG_END, positionBefore } from '../log-end.js';

/**
 * Runs queries: a pool or client of `pg`, PGlite, or an object around whatever the
 * application uses.
 *
 * @publicApi
 */
export interface PostgresQueries {
  query(text: string): PromiseLike<{ readonly rows: readonly unknown[] }>;
}

/**
 * Makes a function that asks a primary for the position of its log, to be called after a
 * commit: for `at` of `InvalidationScope.run()`, of the transaction adapters, of the
 * publisher and of `@InvalidatesCache()`.
 *
 * @param primary never a replica, and never the transaction itself
 * @param options with `kind`, the name of its positions: that of `postgresReplica()`
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
  options: { readonly kind?: string } = {},
): () => Promise<CommitPosition> {
  return async () => {
    const { rows } = await primary.query(`select ${LOG_END} as log_end`);
    const [row] = rows as readonly { readonly log_end?: unknown }[];
    const position = positionBefore(row?.log_end);
    if (position === null) throw new TypeError('PostgreSQL told no position.');
    return { [options.kind ?? 'pg']: position };
  };
}
