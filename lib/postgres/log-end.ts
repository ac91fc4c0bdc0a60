import { formatLsn, parseLsn } from '../message/index.js';

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
