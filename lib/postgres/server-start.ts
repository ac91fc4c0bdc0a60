/**
 * An SQL expression: a digest of the database, and of the start of the server and of its
 * statistics. A crash of one process restarts all but the first, and resets those. After
 * any of them, commits that others saw may be gone.
 *
 * @internal
 */
export const SERVER_START = `left(md5(current_database() || extract(epoch from pg_postmaster_start_time())::text
    || coalesce((select extract(epoch from stats_reset)::text from pg_stat_bgwriter), '')), 12)`;
