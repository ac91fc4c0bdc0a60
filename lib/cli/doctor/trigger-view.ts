import {
  readTriggers,
  TriggerPlan,
  type TriggerState,
} from '../../sql/index.js';
import type { PostgresLink } from '../pg/postgres-link.js';
import type { TriggerNames } from '../pg/trigger-settings.js';
import { PostgresServerView } from './postgres-server-view.js';

/** Rows are counted up to here. @internal */
export const MOST_ROWS = 100_000;

/** @internal */
export interface OutboxFacts {
  readonly is_there: boolean;
  /** Rights of the user that a drain needs, and the user lacks. */
  readonly lacking: readonly string[];
  /** Whether row security may hide rows from the user. */
  readonly is_hidden: boolean;
  /** Whether a commit notifies the drains. */
  readonly is_waking: boolean;
}

/** The rows of an outbox at one time. @internal */
export interface Backlog {
  /** Up to one more than are counted. */
  readonly rows: number;
  /** Names the row of the oldest transaction; `null` if there is none. */
  readonly oldest: string | null;
  /** Milliseconds since that row was written. */
  readonly age: number | null;
}

/** @internal */
export interface UnseenFacts {
  /** `session_replication_role` of the checked connection. */
  readonly own: string;
  /** Roles with a setting that switches triggers off. */
  readonly roles: readonly string[];
  /** Mapped tables that a subscription of this database writes to. */
  readonly subscribed: readonly string[];
}

const OUTBOX = `
select t.oid is not null as is_there,
  array(select r from unnest('{SELECT,DELETE}'::text[]) r
    where not has_table_privilege(t.oid, r)) as lacking,
  coalesce(row_security_active(t.oid), false) as is_hidden,
  exists (select from pg_trigger where tgrelid = t.oid and tgname = $2 and tgenabled in ('O', 'A')) as is_waking
from (select to_regclass($1)::oid as oid) t`;

/** Statement-level triggers do not see what a subscription writes, whatever their state. */
const UNSEEN = `
select current_setting('session_replication_role') as own,
  array(select coalesce(r.rolname::text, 'every role')
    from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole
    where 'session_replication_role=replica' = any (s.setconfig)
      and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))) as roles,
  array(select distinct n.nspname || '.' || c.relname
    from pg_subscription_rel s join pg_class c on c.oid = s.srrelid join pg_namespace n on n.oid = c.relnamespace
    where cardinality($1::text[]) = 0 or n.nspname || '.' || c.relname = any ($1)) as subscribed`;

/** The database of a source by triggers. @internal */
export class TriggerView extends PostgresServerView {
  readonly #plan: TriggerPlan;

  constructor(
    link: PostgresLink,
    readonly names: TriggerNames,
  ) {
    super(link);
    this.#plan = new TriggerPlan(names);
  }

  triggers(): Promise<TriggerState> {
    return readTriggers(
      (text, values) => this.link.query(text, values),
      this.names.tables,
      this.#plan,
    );
  }

  async outbox(): Promise<OutboxFacts> {
    const { outbox, wakeTrigger } = this.#plan;
    const rows = await this.link.query<OutboxFacts>(OUTBOX, [
      outbox,
      wakeTrigger,
    ]);
    return rows[0]!;
  }

  async backlog(): Promise<Backlog> {
    const { outbox } = this.#plan;
    const rows = await this.link.query<Backlog>(
      `select (select count(*)::int from (select from ${outbox} limit ${MOST_ROWS + 1}) r) as rows, o.*
       from (select 1) one left join lateral (
         select xid || '.' || id as oldest, (extract(epoch from clock_timestamp() - created) * 1000)::float8 as age
         from ${outbox} order by xid, id limit 1) o on true`,
    );
    return rows[0]!;
  }

  async unseen(): Promise<UnseenFacts> {
    const rows = await this.link.query<UnseenFacts>(UNSEEN, [
      this.names.tables.map(({ name }) => name),
    ]);
    return rows[0]!;
  }
}
