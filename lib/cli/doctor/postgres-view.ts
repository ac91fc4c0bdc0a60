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
  readonly has_unlogged_partition: boolean;
  /** Whether a partition logs fewer columns of an old row. */
  readonly has_lesser_partition: boolean;
  /** A mapped or published table that it is a partition of; `null` for none. */
  readonly root: string | null;
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

/** The columns that a table logs of an old row. */
const logged = (table: string): string => `array(
    select a.attname::text from pg_attribute a
    where a.attrelid = ${table}.oid and a.attnum > 0 and not a.attisdropped
      and (${table}.relreplident = 'f' or exists (
        select from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality k (number, place)
        where i.indrelid = ${table}.oid and k.number = a.attnum and k.place <= i.indnkeyatts
          and case ${table}.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident end)))`;

/** The query takes no lock of a table. Changes of a partition are those of a root that is published. */
const TABLES = `
select t.name, c.relkind::text as kind, c.relpersistence::text as persistence,
  c.relreplident::text as identity, ${hasKey('c.oid')} as has_key,
  c.relkind = 'r' and exists (select from pg_inherits where inhparent = c.oid) as has_children,
  parts.*, pg_has_role(c.relowner, 'USAGE') as is_own,
  (select rn.nspname || '.' || r.relname
    from pg_partition_ancestors(c.oid) a (oid)
    join pg_class r on r.oid = a.oid join pg_namespace rn on rn.oid = r.relnamespace
    where r.oid <> c.oid and rn.nspname || '.' || r.relname = any ($1 || $2::text[]) limit 1) as root
from unnest($1::text[]) with ordinality t (name, place)
left join (pg_class c join pg_namespace n on n.oid = c.relnamespace)
  on n.nspname || '.' || c.relname = t.name
cross join lateral (
  with recursive part (oid) as (
    select inhrelid from pg_inherits where inhparent = c.oid and c.relkind = 'p'
    union all select i.inhrelid from pg_inherits i join part on i.inhparent = part.oid)
  select coalesce(bool_or(p.relreplident = 'n' or p.relreplident = 'd' and not ${hasKey('p.oid')}), false) as has_bare_partition,
    coalesce(bool_or(p.relpersistence = 'u'), false) as has_unlogged_partition,
    coalesce(bool_or(not ${logged('p')} @> ${logged('c')}), false) as has_lesser_partition
  from part join pg_class p on p.oid = part.oid and p.relkind = 'r') parts
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
    const publication = await this.publication();
    const published = publication?.tables.map(({ name }) => name) ?? [];
    const names = given.length === 0 ? published : given;
    return this.link.query<TableFacts>(TABLES, [names, published]);
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
