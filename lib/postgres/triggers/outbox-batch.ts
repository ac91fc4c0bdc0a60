import { decodeAnnounced } from '../mapping/announced-text.js';
import { ChangeSet } from '../mapping/change-set.js';
import type { Relation } from '../mapping/relation.js';
import type { RowImage, RowValues } from '../mapping/row-view.js';
import {
  TableMapper,
  widenTable,
  type MapperListener,
} from '../mapping/table-mapper.js';
import type { TableMappings } from '../mapping/table-mapping.js';
import type { PostgresTransaction } from './trigger-database.js';

/** Rows and characters of a batch; the last transaction may take as much again. */
const BATCH = { rows: 500, size: 500_000 };

/** The kind of a row that the application has written, of no table. @internal */
export const ANNOUNCED_KIND = 'announced';

/** A row of the outbox, as a trigger has written it. @internal */
export interface OutboxRow {
  readonly id: string;
  readonly xid: string;
  /** When it was written, in seconds; with `id` and `xid` it names the row. */
  readonly created: string;
  /** Milliseconds since then, as the application's type parsers give them. */
  readonly age: number | string;
  readonly mapped: string;
  readonly kind: string;
  readonly content: string | null;
  /** The end of the log after the row was seen; `null` where that is not known. */
  readonly log_end: string | null;
}

/** A transaction's rows, or those of them that are in the batch. @internal */
export interface OutboxTransaction {
  /** Equal for the same rows only. */
  readonly name: string;
  readonly changes: ChangeSet;
  /** Changed rows of mapped tables, as far as they are known. */
  readonly rows: number;
}

/** Whether a batch may be there. @internal */
export async function hasRows(
  database: PostgresTransaction,
  outbox: string,
): Promise<boolean> {
  // By the index, which forgets deleted rows without a vacuum.
  const { rows } = await database.query(
    `select 1 from ${outbox} order by xid, id limit 1`,
  );
  return rows.length > 0;
}

/**
 * Deletes the first rows of the outbox, whole transactions if they fit a batch. They are
 * back if the transaction is rolled back. There are none while another drain takes a
 * batch: two at once would split the rows of one transaction between them.
 *
 * @param outbox the quoted name of the table
 * @param logEnd SQL for the end of the log
 * @internal
 */
export async function takeBatch(
  transaction: PostgresTransaction,
  outbox: string,
  logEnd: string,
): Promise<readonly OutboxRow[]> {
  const { rows } = await transaction.query(
    `with turn as materialized (
       select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as is_mine),
     head as materialized (
       select id, xid, coalesce(octet_length(content), 0) as size from ${outbox}
       where (select is_mine from turn) order by xid, id limit ${2 * BATCH.rows}),
     placed as (
       select id, xid, row_number() over w as place, sum(size) over w - size as ahead
       from head window w as (order by xid, id)),
     begun as (
       select id, ahead, min(place) over (partition by xid) as first_place,
         min(ahead) over (partition by xid) as first_ahead from placed),
     gone as (
       delete from ${outbox} o using begun b
       where o.id = b.id and b.first_place <= ${BATCH.rows}
         and b.first_ahead < ${BATCH.size} and b.ahead < ${2 * BATCH.size}
       returning o.*)
     select id::text, xid::text, mapped, kind, content, ${logEnd} as log_end,
       extract(epoch from created)::text as created,
       ((extract(epoch from clock_timestamp()) - extract(epoch from created)) * 1000)::float8 as age
     from gone order by gone.xid, gone.id`,
    [`nestjs-cache-invalidation ${outbox}`],
  );
  return rows as readonly OutboxRow[];
}

/**
 * Maps rows of the outbox by transaction.
 *
 * @internal
 */
export class OutboxMapper {
  constructor(
    private readonly tables: TableMappings,
    private readonly bulk: number,
    private readonly listener: MapperListener,
  ) {}

  transactionsOf(rows: readonly OutboxRow[]): OutboxTransaction[] {
    const byXid = new Map<string, OutboxRow[]>();
    for (const row of rows) {
      const others = byXid.get(row.xid);
      if (others === undefined) byXid.set(row.xid, [row]);
      else others.push(row);
    }
    return [...byXid.values()].map((each) => this.#transactionOf(each));
  }

  #transactionOf(rows: readonly OutboxRow[]): OutboxTransaction {
    const changes = new ChangeSet(this.bulk, () =>
      this.listener.onWidened('bulk', null),
    );
    let count = 0;
    for (const row of rows) count += this.#add(row, changes);
    const name = rows
      .map(({ id, xid, created }) => `${xid}.${id}.${created}`)
      .join();
    return { name, changes, rows: count };
  }

  /** @returns the number of changed rows that are known */
  #add(row: OutboxRow, changes: ChangeSet): number {
    const { mapped, kind } = row;
    if (kind === ANNOUNCED_KIND) {
      this.#announce(row, changes);
      return 0;
    }
    const mapping = Object.hasOwn(this.tables, mapped)
      ? this.tables[mapped]!
      : undefined;
    if (mapping === undefined) {
      // Another version of the application maps it, and may not see the row any more.
      this.listener.onWidened('definition', mapped);
      changes.widenToEverything();
      return 0;
    }
    if (typeof mapping === 'string' && kind === 'keys') {
      const ids = contentOf(row);
      if (isIds(ids)) {
        for (const id of ids) changes.addEntity(mapping, id);
        return ids.length;
      }
    } else if (typeof mapping !== 'string' && kind === 'rows') {
      const content = contentOf(row);
      if (isStoredRows(content)) {
        return this.#addRows(mapped, content, changes);
      }
    }
    const cause =
      kind === 'truncate' || kind === 'bulk' || kind === 'columns'
        ? kind
        : 'definition';
    this.listener.onWidened(cause, mapped);
    widenTable(mapping, changes);
    return 0;
  }

  #announce({ content }: OutboxRow, changes: ChangeSet): void {
    const invalidations = decodeAnnounced(content ?? '');
    if (invalidations === null) {
      this.listener.onWidened('message', null);
      return changes.widenToEverything();
    }
    for (const each of invalidations) changes.add(each);
  }

  #addRows(table: string, { columns, rows }: StoredRows, changes: ChangeSet) {
    const relation: Relation = {
      kind: 'relation',
      oid: 0,
      name: table,
      identity: 'f',
      columns: columns.map(([name, type]) => ({
        name,
        type,
        modifier: -1,
        isIdentity: true,
      })),
    };
    const mapping = this.tables[table]!;
    const mapper = new TableMapper(mapping, relation, [], this.listener);
    const images = rows.map((values): RowImage => ({
      relation,
      tuple: new StoredValues(values),
      isIdentityOnly: false,
      before: null,
    }));
    mapper.add({ images, isOldUnknown: false }, changes);
    return rows.length;
  }
}

/** Rows as the trigger stores them: each value as text behind `=`, empty if too large. */
interface StoredRows {
  readonly columns: readonly (readonly [name: string, type: number])[];
  readonly rows: readonly (readonly (string | null)[])[];
}

class StoredValues implements RowValues {
  constructor(private readonly values: readonly (string | null)[]) {}

  text(column: number): string | null | undefined {
    const value = this.values[column];
    if (value === null || value === undefined) return value;
    return value === '' ? undefined : value.slice(1);
  }
}

/** `null` for what no trigger of ours writes. */
function contentOf({ content }: OutboxRow): unknown {
  try {
    return JSON.parse(content ?? 'null');
  } catch {
    return null;
  }
}

function isIds(content: unknown): content is string[] {
  return (
    Array.isArray(content) &&
    content.every((id) => typeof id === 'string' && id !== '')
  );
}

function isStoredRows(content: unknown): content is StoredRows {
  const { columns, rows } = (content ?? {}) as Partial<StoredRows>;
  return (
    Array.isArray(columns) &&
    columns.every((column) => Array.isArray(column)) &&
    Array.isArray(rows) &&
    rows.every((values) => Array.isArray(values))
  );
}
