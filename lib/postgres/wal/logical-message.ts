/** The first version whose pgoutput sends logical messages. @internal */
export const SENDS_MESSAGES = 140_000;

/** Prefix of a logical message that holds invalidations. @internal */
export const ANNOUNCED = 'cache_invalidation';

/** Prefix of a logical message in a transaction whose rows are not announced. @internal */
export const MARKED = 'cache_invalidation.announced';

/**
 * A query that writes a logical message into the transaction that runs it, and fails where
 * no source could read it. It has neither a `?` nor a `$`, which some ORMs replace.
 *
 * @internal
 */
export function emitSql(prefix: string, content: string): string {
  const base64 = Buffer.from(content).toString('base64');
  return `select case
  when current_setting('server_version_num')::int < ${SENDS_MESSAGES} then
    ('Announcing in a transaction needs PostgreSQL 14, this is ' || current_setting('server_version'))::int::text
  when current_setting('wal_level') <> 'logical' then
    ('Announcing in a transaction needs wal_level logical, this is ' || current_setting('wal_level'))::int::text
  else pg_logical_emit_message(true, '${prefix}', decode('${base64}', 'base64'))::text
  end as position`;
}
