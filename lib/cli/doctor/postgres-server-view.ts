import type { PostgresLink } from '../pg/postgres-link.js';

/** @internal */
export interface ServerFacts {
  /** 180004 for 18.4. */
  readonly version: number;
  readonly name: string;
  readonly is_standby: boolean;
  readonly user: string;
  readonly is_super: boolean;
  /** The process that answers queries. */
  readonly pid: number;
  readonly wal_level: string;
  readonly may_create: boolean;
  readonly max_slots: number;
  readonly slots: number;
  /** Megabytes, -1 without a bound; `null` before PostgreSQL 13. */
  readonly wal_keep: number | null;
  readonly start: string;
}

/** The start of the server, as the source has it in its record. @internal */
export const START = `left(md5(current_database() || extract(epoch from pg_postmaster_start_time())::text
  || coalesce((select extract(epoch from stats_reset)::text from pg_stat_bgwriter), '')), 12)`;

const SERVER = `
select current_setting('server_version_num')::int as version,
  current_setting('server_version') as name, pg_is_in_recovery() as is_standby,
  current_user::text as user, pg_backend_pid() as pid,
  (select rolsuper from pg_roles where rolname = current_user) as is_super,
  current_setting('wal_level') as wal_level,
  has_database_privilege(current_database(), 'CREATE') as may_create,
  current_setting('max_replication_slots')::int as max_slots,
  (select count(*) from pg_replication_slots)::int as slots,
  (select setting::int from pg_settings where name = 'max_slot_wal_keep_size') as wal_keep,
  ${START} as start`;

/** The server of a source, of either mode. Its answer is read once. @internal */
export class PostgresServerView {
  #server: Promise<ServerFacts> | null = null;

  constructor(readonly link: PostgresLink) {}

  server(): Promise<ServerFacts> {
    this.#server ??= this.link.query<ServerFacts>(SERVER).then(([row]) => row!);
    return this.#server;
  }

  /** Whether a pooler or a proxy stands between: it has other ids of processes. */
  async isProxied(): Promise<boolean> {
    const [{ pid }, client] = [await this.server(), await this.link.client()];
    return (client as { processID?: number | null }).processID !== pid;
  }
}
