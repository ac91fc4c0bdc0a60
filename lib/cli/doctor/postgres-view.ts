import { PostgresLink } from '../pg/postgres-link.js';
import type { PostgresNames } from '../pg/postgres-settings.js';
import { PostgresServerView, START } from './postgres-server-view.js';

/** Columns that some versions do not have are absent. @internal */
export interface SlotFacts {
  readonly plugin: string | null;
  readonly database: string | null;
  readonly is_here: boolean;
  readonly active_pid: number | null;
  readonly wal_status?: string | null;
  readonly invalidation_reason?: string | null;
  readonly conflicting?: boolean | null;
  readonly failover?: boolean;
  readonly confirmed_flush_lsn: string | null;
  /** Bytes of log that the server keeps for it. */
  readonly retained: number | null;
}

/** @internal */
export interface PublicationFacts {
  /** Whether every kind of change is published. */
  readonly is_whole: boolean;
  readonly pubviaroot?: boolean;
  readonly tables: readonly { readonly name: string; filtered: boolean }[];
}

/** @internal */
export interface TableFacts {
  readonly name: string;
  /** `null` if there is no such table. */
  readonly kind: string | null;
  readonly persistence: string;
  /** As `pg_class.relreplident`. */
  readonly identity: string;
  readonly has_key: boolean;
  readonly has_children: boolean;
  /** Whether a partition has neither a primary key nor another identity. */
  readonly has_bare_partition: boolean;
  readonly is_own: boolean;
}

/** The answers on a connection that can read a slot. @internal */
export interface ReplicationFacts {
  readonly system: string;
  readonly timeline: string;
  readonly start: string;
  readonly sender_timeout: string;
  readonly sender_timeout_ms: number;
}

const LOG_END = `case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
  else pg_current_wal_lsn() end`;

const SLOT = `
select to_jsonb(s) || jsonb_build_object('is_here', s.database = current_database(),
  'retained', pg_wal_lsn_diff(${LOG_END}, s.restart_lsn)) as slot
from pg_replication_slots s where slot_name = $1`;

const PUBLICATION = `
select to_jsonb(p) || jsonb_build_object(
  'is_whole', p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate,
  'tables', (select coalesce(jsonb_agg(jsonb_build_object(
      'name', t.schemaname || '.' || t.tablename,
      'filtered', to_jsonb(t) ->> 'rowfilter' is not null)
      order by t.schemaname, t.tablename), '[]')
    from pg_publication_tables t where t.pubname = p.pubname)) as publication
from pg_publication p where pubname = $1`;

const hasKey = (table: string): string =>
  `exists (select from pg_index i where i.indrelid = ${table} and i.indisprimary)`;

/** It takes no lock of a table. */
const TABLES = `
select t.name, c.relkind::text as kind, c.relpersistence::text as persistence,
  c.relreplident::text as identity, ${hasKey('c.oid')} as has_key,
  c.relkind = 'r' and exists (select from pg_inherits where inhparent = c.oid) as has_children,
  c.relkind = 'p' and exists (with recursive part (oid) as (
      select inhrelid from pg_inherits where inhparent = c.oid
      union all select i.inhrelid from pg_inherits i join part on i.inhparent = part.oid)
    select from part join pg_class l on l.oid = part.oid where l.relkind = 'r'
      and (l.relreplident = 'n' or l.relreplident = 'd' and not ${hasKey('l.oid')})) as has_bare_partition,
  pg_has_role(c.relowner, 'USAGE') as is_own
from unnest($1::text[]) with ordinality t (name, place)
left join (pg_class c join pg_namespace n on n.oid = c.relnamespace)
  on n.nspname || '.' || c.relname = t.name
order by t.place`;

/** The database of a source. Each of its answers is read once. @internal */
export class PostgresView extends PostgresServerView {
  #replication: Promise<ReplicationFacts> | null = null;
  #slot: Promise<SlotFacts | null> | null = null;
  #publication: Promise<PublicationFacts | null> | null = null;
  #tables: Promise<TableFacts[]> | null = null;

  constructor(
    link: PostgresLink,
    readonly names: PostgresNames,
  ) {
    super(link);
  }

  replication(): Promise<ReplicationFacts> {
    this.#replication ??= this.#identify();
    return this.#replication;
  }

  slot(): Promise<SlotFacts | null> {
    this.#slot ??= this.link
      .query<{ slot: SlotFacts }>(SLOT, [this.names.slot])
      .then(([row]) => row?.slot ?? null);
    return this.#slot;
  }

  publication(): Promise<PublicationFacts | null> {
    this.#publication ??= this.link
      .query<{
        publication: PublicationFacts;
      }>(PUBLICATION, [this.names.publication])
      .then(([row]) => row?.publication ?? null);
    return this.#publication;
  }

  /** The mapped tables; those that are published, if they are not given. */
  tables(): Promise<TableFacts[]> {
    this.#tables ??= this.#readTables();
    return this.#tables;
  }

  /** The end of the server's log. */
  async logEnd(): Promise<string> {
    const rows = await this.link.query<{ lsn: string }>(
      `select (${LOG_END})::text as lsn`,
    );
    return rows[0]!.lsn;
  }

  async #readTables(): Promise<TableFacts[]> {
    const given = this.names.tables;
    const published = given.length === 0 ? await this.publication() : null;
    const names = published?.tables.map(({ name }) => name) ?? given;
    return this.link.query<TableFacts>(TABLES, [names]);
  }

  async #identify(): Promise<ReplicationFacts> {
    const client = await this.link.replication();
    const system = await client.query<{ systemid: string; timeline: number }>(
      'IDENTIFY_SYSTEM',
    );
    const own = await client.query<
      Pick<ReplicationFacts, 'start' | 'sender_timeout' | 'sender_timeout_ms'>
    >(`select ${START} as start, current_setting('wal_sender_timeout') as sender_timeout,
      (select setting::int from pg_settings where name = 'wal_sender_timeout') as sender_timeout_ms`);
    const { systemid, timeline } = system.rows[0]!;
    return {
      system: systemid,
      timeline: String(timeline),
      ...own.rows[0]!,
    };
  }
}
