import { createHash } from 'node:crypto';
import type { ControlClient } from './control-client.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import { textOf, type TableMappings } from '../mapping/table-mapping.js';

/**
 * Definitions of tables by name, and of their partitions. Each `xmin` is that of a catalog row
 * which changes with a table that is renamed, with its row type, or made unlogged, or with
 * a partition that is detached or truncated, also for a moment: the log does not have all
 * changes then, or not under the mapped name. It takes no lock of a table.
 *
 * A change of a partition has the replica identity of the partition, and is described with
 * that of its root. So the columns are read that each kind of partition logs.
 */
const DEFINITIONS = `
select n.nspname || '.' || c.relname as name, c.relreplident = 'n' as is_nothing,
  c.relreplident = 'd' as is_default,
  (select coalesce(json_agg(a.attname order by k.place), '[]')
     from pg_index i
     cross join lateral unnest(i.indkey::int2[]) with ordinality k (number, place)
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
     where i.indrelid = c.oid and i.indisprimary and k.place <= i.indnkeyatts) as key,
  (select json_agg(json_build_array(a.attnum, a.attname, a.atttypid, a.atttypmod) order by a.attnum)
     from pg_attribute a
     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  parts.children, parts.identities, c.relpersistence = 'u' or coalesce(parts.is_unlogged, false) as is_unlogged,
  c.oid, c.relreplident, c.relkind = 'p' as is_partitioned,
  (select json_build_array(to_jsonb(p), (select to_jsonb(r) from pg_publication_rel r
      where r.prpubid = p.oid and r.prrelid = c.oid), (
    -- Version 15 and newer publish whole schemas.
    select json_agg(s.objid) from pg_depend s join pg_depend o using (classid, objid)
      where s.classid = to_regclass('pg_catalog.pg_publication_namespace')
        and s.refclassid = 'pg_namespace'::regclass and s.refobjid = n.oid
        and o.refclassid = 'pg_publication'::regclass and o.refobjid = p.oid))
     from pg_publication p where p.pubname = $2) as publication,
  (select t.xmin::text from pg_type t where t.oid = c.reltype) as named,
  -- Only a table that the publication names cannot be made unlogged.
  (select c.xmin::text where not exists (
     select from pg_publication p join pg_publication_rel r on r.prpubid = p.oid
     where p.pubname = $2 and r.prrelid = c.oid)) as version
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  with recursive child (oid) as (
    select inhrelid from pg_inherits where inhparent = c.oid
    union all select i.inhrelid from pg_inherits i join child on i.inhparent = child.oid)
  select json_agg(json_build_array(p.oid, p.xmin::text) order by p.oid) as children,
    bool_or(p.relpersistence = 'u') as is_unlogged,
    json_agg(distinct (
      select coalesce(jsonb_agg(a.attname order by a.attname), '[]')
        from pg_index i
        cross join lateral unnest(i.indkey::int2[]) with ordinality k (number, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
        where i.indrelid = p.oid and k.place <= i.indnkeyatts
          and case p.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident end))
      filter (where p.relkind = 'r' and p.relreplident <> 'f') as identities
  from child join pg_class p on p.oid = child.oid) parts
where n.nspname || '.' || c.relname = any ($1)`;

interface Definition {
  readonly name: string;
  readonly is_nothing: boolean;
  readonly is_default: boolean;
  readonly key: readonly string[];
  readonly is_partitioned: boolean;
  /** The columns that a partition logs of an old row, unless it logs all; `null` for none such. */
  readonly identities: readonly (readonly string[])[] | null;
  readonly is_unlogged: boolean;
  /** Partitions, or tables that inherit. */
  readonly children: readonly unknown[] | null;
  /** The publication, and how it has the table; `null` if there is none. */
  readonly publication: unknown;
}

/**
 * The definitions of the mapped tables, as the server has them now.
 *
 * @internal
 */
export class TableCatalog {
  readonly #definitions: ReadonlyMap<string, Definition>;

  private constructor(
    private readonly tables: TableMappings,
    definitions: readonly Definition[],
  ) {
    this.#definitions = new Map(definitions.map((each) => [each.name, each]));
  }

  /**
   * Reads the definitions.
   *
   * @throws InvalidationPostgresError if a table does not exist, or its changes cannot be
   * followed
   */
  static async read(
    client: ControlClient,
    tables: TableMappings,
    publication: string,
  ): Promise<TableCatalog> {
    const names = Object.keys(tables);
    const rows = await client.query<Definition>(DEFINITIONS, [
      names,
      publication,
    ]);
    const catalog = new TableCatalog(tables, rows);
    for (const name of names) checkDefinition(name, catalog.#definitions);
    return catalog;
  }

  /** The columns of a table's primary key, in its order. */
  keyOf(table: string): readonly string[] {
    return this.#definitions.get(table)?.key ?? [];
  }

  /** Whether every partition of a table logs a column of an old row, if the table does. */
  isLogged(table: string, column: string): boolean {
    const identities = this.#definitions.get(table)?.identities ?? [];
    return identities.every((columns) => columns.includes(column));
  }

  /** Equal as long as no mapping and no definition changes, nor the publication. */
  get digest(): string {
    const hash = createHash('sha1');
    for (const name of Object.keys(this.tables).toSorted()) {
      hash.update(`${name} ${textOf(this.tables[name]!)} `);
      hash.update(this.#textOf(name));
    }
    return hash.digest('hex').slice(0, 16);
  }

  /** Tables whose definitions differ from earlier ones. */
  changedSince(earlier: TableCatalog): string[] {
    return Object.keys(this.tables).filter(
      (name) => this.#textOf(name) !== earlier.#textOf(name),
    );
  }

  /** Whether the publication has the tables as it had them earlier. */
  isPublishedAs(earlier: TableCatalog): boolean {
    return this.#publications === earlier.#publications;
  }

  get #publications(): string {
    const publications = Object.keys(this.tables).map(
      (name) => this.#definitions.get(name)?.publication,
    );
    return JSON.stringify(publications);
  }

  #textOf(name: string): string {
    return JSON.stringify(this.#definitions.get(name));
  }
}

function checkDefinition(
  name: string,
  definitions: ReadonlyMap<string, Definition>,
): void {
  const definition = definitions.get(name);
  if (definition === undefined) {
    throw new InvalidationPostgresError(
      `There is no table ${name}.`,
      'Create it, or correct its name in the option tables.',
    );
  }
  const { is_nothing, is_default, key, is_unlogged } = definition;
  const { is_partitioned, children } = definition;
  // PostgreSQL would refuse every update and delete of a published table of this kind.
  if (is_nothing || (is_default && key.length === 0)) {
    throw new InvalidationPostgresError(
      `Table ${name} has no replica identity, so its changes cannot be published.`,
      'Give it a primary key, or ALTER TABLE … REPLICA IDENTITY FULL.',
    );
  }
  if (is_unlogged) {
    throw new InvalidationPostgresError(
      `Table ${name}, or a partition of it, is unlogged, so its changes are not in the log.`,
      'ALTER TABLE … SET LOGGED.',
    );
  }
  if (children !== null && !is_partitioned) {
    throw new InvalidationPostgresError(
      `Table ${name} has tables that inherit from it, which are published by their own names.`,
      'Map each of them, or use declarative partitions.',
    );
  }
}
