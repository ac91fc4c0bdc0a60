import { decodeAnnounced } from '../mapping/announced-text.js';
import { ChangeSet } from '../mapping/change-set.js';
import type { LogicalMessage, OldRow, WalMessage } from './decode-pgoutput.js';
import { ANNOUNCED, MARKED } from './logical-message.js';
import type { Lsn } from '../../message/index.js';
import { MalformedWalError } from './malformed-wal.error.js';
import type { Relation } from '../mapping/relation.js';
import type { RowImage } from '../mapping/row-view.js';
import {
  TableMapper,
  widenTable,
  type MapperListener,
  type RowChange,
} from '../mapping/table-mapper.js';
import type { TableMappings } from '../mapping/table-mapping.js';

/** A committed transaction. @internal */
export interface Commit {
  readonly xid: number;
  /** The beginning of its commit's record in the log, and its end. */
  readonly start: Lsn;
  readonly end: Lsn;
  /** Microseconds since 2000. */
  readonly time: bigint;
  readonly changes: ChangeSet;
  /** Rows of mapped tables. */
  readonly rows: number;
}

/** @internal */
export interface ReaderListener extends MapperListener {
  onCommit(commit: Commit): void;
  /** A table that was known is described again: its definition may have changed. */
  onDescribed(): void;
}

/** Facts of a table that the log does not have. @internal */
export interface ReaderCatalog {
  /** The columns of its primary key, in its order. */
  keyOf(table: string): readonly string[];
  /** Whether every partition logs a column of an old row, if the table does. */
  isLogged(table: string, column: string): boolean;
}

interface OpenTransaction {
  readonly xid: number;
  readonly changes: ChangeSet;
  /** The part of the changes that does not come from rows. */
  readonly others: ChangeSet;
  /** Whether the application announces the rows itself. */
  isMarked: boolean;
  rows: number;
}

/**
 * Puts the messages of pgoutput together to transactions. Rows are mapped as they come,
 * and none is kept.
 *
 * @internal
 */
export class TransactionReader {
  /** By OID; `null` for a table that is not mapped. */
  readonly #mappers = new Map<number, TableMapper | null>();
  /** Mapped tables by OID, as the log describes them. */
  readonly #relations = new Map<number, Relation>();
  /** The last description of each mapped table. */
  readonly #shapes = new Map<string, string>();
  #open: OpenTransaction | null = null;

  constructor(
    private readonly tables: TableMappings,
    private readonly bulk: number,
    /** As the tables are now. */
    private readonly catalog: () => ReaderCatalog,
    private readonly listener: ReaderListener,
  ) {}

  /** Whether a transaction has begun and not ended. */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /** @throws MalformedWalError for messages in an impossible order */
  read(message: WalMessage): void {
    switch (message.kind) {
      case 'begin': {
        const onBulk = () => this.listener.onWidened('bulk', null);
        const changes = new ChangeSet(this.bulk, onBulk);
        const others = new ChangeSet(this.bulk, () => {});
        const { xid } = message;
        this.#open = { xid, changes, others, isMarked: false, rows: 0 };
        break;
      }
      case 'commit':
        this.#commit(message);
        break;
      case 'relation':
        this.#describe(message);
        break;
      case 'insert':
        this.#add(message.oid, ({ relation }) => ({
          images: [imageOf(relation, message.row)],
          isOldUnknown: false,
        }));
        break;
      case 'update':
        this.#add(message.oid, ({ relation }) => {
          const { old, row } = message;
          const image = imageOf(relation, row, false, old);
          return old === null
            ? { images: [image], isOldUnknown: true }
            : {
                images: [
                  imageOf(relation, old.tuple, !isWhole(relation, old)),
                  image,
                ],
                isOldUnknown: false,
              };
        });
        break;
      case 'delete': {
        const { old } = message;
        this.#add(message.oid, ({ relation }) => ({
          images: [imageOf(relation, old.tuple, !isWhole(relation, old))],
          isOldUnknown: false,
        }));
        break;
      }
      case 'truncate':
        for (const oid of message.oids) {
          this.#mapperOf(oid)?.widen('truncate', this.#transaction().changes);
        }
        break;
      case 'message':
        if (message.transactional) this.#announce(message);
    }
  }

  /** Takes over the keys and the identities of the tables as they are now. */
  renewKeys(): void {
    for (const [oid, relation] of this.#relations) {
      this.#mappers.set(oid, this.#mapperFor(relation));
    }
  }

  #commit({ start, end, time }: Pick<Commit, 'start' | 'end' | 'time'>): void {
    const { xid, changes, others, isMarked, rows } = this.#transaction();
    this.#open = null;
    const announced = isMarked ? others : changes;
    this.listener.onCommit({ xid, changes: announced, rows, start, end, time });
  }

  #describe(relation: Relation): void {
    const { oid, name, identity, columns } = relation;
    const mapper = this.#mapperFor(relation);
    this.#mappers.set(oid, mapper);
    if (mapper === null) return void this.#relations.delete(oid);
    this.#relations.set(oid, relation);
    const shape = JSON.stringify([oid, identity, columns]);
    const before = this.#shapes.get(name);
    this.#shapes.set(name, shape);
    if (before === undefined) return;
    this.listener.onDescribed();
    if (before === shape) return;
    const { changes, others } = this.#transaction();
    mapper.widen('definition', changes);
    widenTable(this.tables[name]!, others);
  }

  #announce({ prefix, content }: LogicalMessage): void {
    if (prefix === MARKED) this.#transaction().isMarked = true;
    if (prefix !== ANNOUNCED) return;
    const invalidations = content === null ? null : decodeAnnounced(content);
    if (invalidations === null) {
      this.listener.onWidened('message', null);
      return this.#addToAll((changes) => changes.widenToEverything());
    }
    this.#addToAll((changes) => {
      for (const each of invalidations) changes.add(each);
    });
  }

  #addToAll(add: (changes: ChangeSet) => void): void {
    const { changes, others } = this.#transaction();
    add(changes);
    add(others);
  }

  #mapperFor(relation: Relation): TableMapper | null {
    const { name } = relation;
    if (!Object.hasOwn(this.tables, name)) return null;
    const mapping = this.tables[name]!;
    const catalog = this.catalog();
    const columns = relation.columns.map((column) => ({
      ...column,
      isIdentity: column.isIdentity && catalog.isLogged(name, column.name),
    }));
    const logged = { ...relation, columns };
    return new TableMapper(mapping, logged, catalog.keyOf(name), this.listener);
  }

  #add(oid: number, changeOf: (mapper: TableMapper) => RowChange): void {
    const transaction = this.#transaction();
    const mapper = this.#mapperOf(oid);
    if (mapper === null) return;
    transaction.rows++;
    mapper.add(changeOf(mapper), transaction.changes);
  }

  #mapperOf(oid: number): TableMapper | null {
    const mapper = this.#mappers.get(oid);
    if (mapper === undefined) {
      throw new MalformedWalError('a row of a table that was not described');
    }
    return mapper;
  }

  #transaction(): OpenTransaction {
    if (this.#open === null) {
      throw new MalformedWalError('a change outside of a transaction');
    }
    return this.#open;
  }
}

function imageOf(
  relation: Relation,
  tuple: RowImage['tuple'],
  isIdentityOnly = false,
  old: OldRow | null = null,
): RowImage {
  const before = old !== null && isWhole(relation, old) ? old.tuple : null;
  return { relation, tuple, isIdentityOnly, before };
}

/** A row of a partition is sent as whole if its root's would be. */
function isWhole({ columns }: Relation, old: OldRow): boolean {
  return old.isWhole && columns.every(({ isIdentity }) => isIdentity);
}
