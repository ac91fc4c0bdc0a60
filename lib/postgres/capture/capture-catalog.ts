import { quoteLiteral } from '../../common/index.js';
import type { CatalogQuery, CatalogRow } from './captured-connection.js';

/** Columns of the mapped tables. Enums are texts, and domains what they are based on. */
const columnsOf = (tables: readonly string[]) => `
select n.nspname || '.' || c.relname as "table", a.attname as "column",
  (case when t.typtype = 'e' then 25 else coalesce(nullif(t.typbasetype, 0), t.oid) end)::text as "type",
  coalesce(l.collisdeterministic, true)::text as "exact",
  (a.attgenerated <> '')::text as "generated",
  (case when array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts
    then array_position(i.indkey::int2[], a.attnum) end)::text as "place"
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_collation l on l.oid = a.attcollation
left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
where n.nspname || '.' || c.relname in (${tables.map(quoteLiteral).join()})`;

/**
 * Tables and views a write of which may change rows of another table: by a foreign key's
 * action, as a partition or a table that inherits, by a view or a rule.
 */
const EDGES = `
with edge (source, target, action, columns) as (
  select confrelid, conrelid, 'delete', null from pg_catalog.pg_constraint
    where contype = 'f' and confdeltype in ('c', 'n', 'd')
  union all
  select confrelid, conrelid, 'truncate', null from pg_catalog.pg_constraint where contype = 'f'
  union all
  select k.confrelid, k.conrelid, 'update', (select case when bool_or(a.attgenerated <> '') then null else json_agg(a.attname)::text end
      from pg_catalog.pg_attribute a where a.attrelid = k.confrelid and a.attnum = any (k.confkey))
    from pg_catalog.pg_constraint k where k.contype = 'f' and k.confupdtype in ('c', 'n', 'd')
  union all
  select inhrelid, inhparent, 'up', null from pg_catalog.pg_inherits
  union all
  select inhparent, inhrelid, 'down', null from pg_catalog.pg_inherits
  union all
  select r.ev_class, d.refobjid, 'any', null from pg_catalog.pg_depend d
    join pg_catalog.pg_rewrite r on r.oid = d.objid
    where d.classid = 'pg_catalog.pg_rewrite'::regclass
      and d.refclassid = 'pg_catalog.pg_class'::regclass and r.ev_class <> d.refobjid)
select distinct n.nspname || '.' || c.relname as "source", m.nspname || '.' || t.relname as "target",
  action as "action", columns as "columns"
from edge e
join pg_catalog.pg_class c on c.oid = e.source
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_class t on t.oid = e.target
join pg_catalog.pg_namespace m on m.oid = t.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema')`;

/** From a partition to the whole, and the other way. */
const BACK: Readonly<Record<string, string>> = { up: 'down', down: 'up' };

/** A column of a mapped table. @internal */
export interface CatalogColumn {
  readonly name: string;
  /** The OID of its type. */
  readonly type: number;
  /** Whether equal values are the same ones. */
  readonly isExact: boolean;
}

/** @internal */
export interface CatalogTable {
  readonly columns: readonly CatalogColumn[];
  /** Columns of the primary key, in its order. */
  readonly key: readonly string[];
  readonly generated: ReadonlySet<string>;
}

interface Edge {
  readonly target: string;
  readonly action: string;
  /** Columns whose change is passed on; `null` for every change. */
  readonly columns: readonly string[] | null;
}

/**
 * The definitions of the mapped tables, and what else changes their rows, as the database
 * has them.
 *
 * @internal
 */
export class CaptureCatalog {
  readonly #tables = new Map<string, CatalogTable>();
  readonly #edges = new Map<string, Edge[]>();

  static async read(
    query: CatalogQuery,
    tables: readonly string[],
  ): Promise<CaptureCatalog> {
    const catalog = new CaptureCatalog();
    const described = await query(columnsOf(tables));
    for (const name of tables) {
      const rows = described.filter(({ table }) => table === name);
      catalog.#describe(name, rows);
    }
    for (const row of await query(EDGES)) {
      const { source, target, action, columns: some } = row;
      const edges = catalog.#edges.get(source!) ?? [];
      catalog.#edges.set(source!, edges);
      const columns = some === null ? null : JSON.parse(some!);
      edges.push({ target: target!, action: action!, columns });
    }
    return catalog;
  }

  /** Mapped tables, and those whose writes may change rows of them. */
  get names(): readonly string[] {
    return [...new Set([...this.#tables.keys(), ...this.#edges.keys()])];
  }

  table(name: string): CatalogTable | undefined {
    return this.#tables.get(name);
  }

  /**
   * Mapped tables whose rows change along with those of a table.
   *
   * @param kind `null` for any kind of write but TRUNCATE
   * @param changed columns that an update changes
   */
  reached(
    name: string,
    kind: 'insert' | 'update' | 'delete' | 'truncate' | null,
    changed: ReadonlySet<string>,
  ): string[] {
    // CASCADE empties every table that refers to one, whatever its foreign key says.
    const isPassedOn = ({ action }: Edge) =>
      action !== 'truncate' || kind === 'truncate';
    const isFollowed = (edge: Edge) => {
      if (kind === null || kind === 'truncate') return isPassedOn(edge);
      const { action, columns } = edge;
      // An upsert updates as well.
      if (action === 'update') {
        return columns === null
          ? changed.size > 0
          : columns.some((column) => changed.has(column));
      }
      return action === 'delete' ? kind === 'delete' : isPassedOn(edge);
    };
    const edges = new Set((this.#edges.get(name) ?? []).filter(isFollowed));
    for (const { target, action } of edges) {
      // Each of its rows may be deleted, or changed in any column.
      for (const edge of this.#edges.get(target) ?? []) {
        // A row of a partition is none of its siblings, but of the whole.
        if (BACK[action] !== edge.action && isPassedOn(edge)) edges.add(edge);
      }
    }
    const reached = new Set([...edges].map(({ target }) => target));
    return [...reached].filter((table) => this.#tables.has(table));
  }

  #describe(name: string, rows: readonly CatalogRow[]): void {
    const key = rows.filter(({ place }) => place !== null);
    const generated = rows.filter((row) => row['generated'] === 'true');
    this.#tables.set(name, {
      columns: rows.map(({ column, type, exact }) => ({
        name: column!,
        type: Number(type),
        isExact: exact === 'true',
      })),
      key: key
        .toSorted(
          (some, other) => Number(some['place']) - Number(other['place']),
        )
        .map(({ column }) => column!),
      generated: new Set(generated.map(({ column }) => column!)),
    });
  }
}
