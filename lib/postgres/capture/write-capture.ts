import { Logger } from '@nestjs/common';
import {
  describeCause,
  InvalidationConfigurationError,
} from '../../errors/index.js';
import { everything, type Invalidation } from '../../message/index.js';
import { outsideScopes } from '../../publisher/index.js';
import type { ChangeSet } from '../mapping/change-set.js';
import { isTables } from '../postgres.options-rules.js';
import { widenTable } from '../mapping/table-mapper.js';
import { CaptureCatalog } from './capture-catalog.js';
import type { CaptureOptions } from './capture.options.js';
import {
  CapturedConnection,
  type CatalogQuery,
  type SqlStatement,
} from './captured-connection.js';
import { CapturedTable } from './captured-table.js';
import { CapturedWrites, type CapturedWrite } from './captured-writes.js';
import { isAboutAnyTable, type SqlCommand } from './sql-text.js';
import type { SqlToken } from './sql-tokens.js';
import { parseWrite, type SqlWrite } from './sql-write.js';

/** Keys of one type in one transaction, by default. */
const DEFAULT_BULK = 1_000;

const NONE: ReadonlySet<string> = new Set();

/**
 * Announces what the connections of one client commit, by the definitions that its
 * database has.
 *
 * @internal
 */
export class WriteCapture {
  readonly #logger = new Logger('CacheInvalidationCapture');
  readonly #bulk: number;
  readonly #tables = new Map<string, CapturedTable>();
  #catalog: CaptureCatalog | null = null;
  /** Counts statements that have changed definitions. */
  #definitions = 0;
  /** Tables whose mapper has failed, and is in the log. */
  readonly #failed = new Set<string>();

  /** @throws InvalidationConfigurationError for options that are not right */
  constructor(private readonly options: CaptureOptions) {
    const { publisher, tables, bulk = DEFAULT_BULK } = options;
    if (!isTables(tables) || !(bulk >= 1)) {
      throw new InvalidationConfigurationError(
        'Writes cannot be captured with these options.',
        [],
        'Give tables by name with schema, such as { "public.users": "User" }, and bulk as a number above 0.',
      );
    }
    this.#bulk = bulk;
    // Refuses `role: 'subscriber'` now rather than after the first commit.
    publisher.prepare(everything());
  }

  /** @param query runs SQL on this connection, past the capture */
  connect(query: CatalogQuery): CapturedConnection {
    return new CapturedConnection(this, query);
  }

  /** Writes of a transaction that begins. */
  open(): CapturedWrites {
    return new CapturedWrites(this.#bulk);
  }

  /** Reads the definitions of tables, unless they are known. */
  async learn(query: CatalogQuery): Promise<void> {
    if (this.#catalog !== null) return;
    const { tables } = this.options;
    const before = this.#definitions;
    try {
      const catalog = await CaptureCatalog.read(query, Object.keys(tables));
      if (before !== this.#definitions) return;
      this.#catalog = catalog;
    } catch (error) {
      this.#logger.warn(
        `The definitions of tables cannot be read, so a write invalidates all mapped types: ${describeCause(error as Error)}.`,
      );
      return;
    }
    for (const [name, mapping] of Object.entries(tables)) {
      const table = new CapturedTable(
        name,
        mapping,
        this.#catalog.table(name)!,
        {
          onWidened: () => {},
          onMapperFailed: (failed, problem) => this.#report(failed, problem),
        },
      );
      this.#tables.set(name, table);
    }
  }

  writeOf(
    command: SqlCommand,
    tokens: readonly SqlToken[],
    { parameters }: SqlStatement,
  ): CapturedWrite {
    if (command === 'definition') this.#forget();
    return (result, changes) => {
      const catalog = this.#catalog;
      if (catalog === null || command === 'hidden' || isAboutAnyTable(tokens)) {
        for (const name of Object.keys(this.options.tables)) {
          this.#widen(name, changes);
        }
        return;
      }
      const write = command === 'write' ? parseWrite(tokens, parameters) : null;
      if (write === null) this.#widenNamed(catalog, tokens, changes);
      else this.#add(catalog, write, result, changes);
    };
  }

  /** Never rejects: what is committed must not look as if it had failed. */
  async announce(ended: readonly CapturedWrites[]): Promise<void> {
    const invalidations = ended.flatMap((writes) => writes.invalidations());
    for (const writes of ended) this.forgetDefinitions(writes);
    await outsideScopes(() =>
      Promise.all(invalidations.map((each) => this.#publish(each))),
    );
  }

  /** Definitions are read again if a transaction has changed some, and has ended. */
  forgetDefinitions({ hasDefinitions }: CapturedWrites): void {
    if (hasDefinitions) this.#forget();
  }

  #forget(): void {
    this.#catalog = null;
    this.#definitions++;
  }

  #add(
    catalog: CaptureCatalog,
    write: SqlWrite,
    result: readonly unknown[] | null,
    changes: ChangeSet,
  ): void {
    const { kind, table, changed } = write;
    const targets =
      table.schema === null
        ? catalog.names.filter((name) => tableIn(name) === table.name)
        : [`${table.schema}.${table.name}`];
    for (const target of targets) {
      this.#tables.get(target)?.add(write, result, changes);
      for (const name of catalog.reached(target, kind, changed)) {
        this.#widen(name, changes);
      }
    }
  }

  #widenNamed(
    catalog: CaptureCatalog,
    tokens: readonly SqlToken[],
    changes: ChangeSet,
  ): void {
    const words = new Set(tokens.map(({ text }) => text?.toLowerCase()));
    const kind = words.has('truncate') ? 'truncate' : null;
    for (const name of catalog.names) {
      if (!words.has(tableIn(name).toLowerCase())) continue;
      this.#widen(name, changes);
      for (const each of catalog.reached(name, kind, NONE)) {
        this.#widen(each, changes);
      }
    }
  }

  #widen(name: string, changes: ChangeSet): void {
    const mapping = this.options.tables[name];
    if (mapping !== undefined) widenTable(mapping, changes);
  }

  async #publish(invalidation: Invalidation): Promise<void> {
    const { publisher } = this.options;
    try {
      await publisher.publish(invalidation);
    } catch (error) {
      this.#logger.error(
        `A captured write cannot be published, so everything is invalidated: ${describeCause(error as Error)}.`,
      );
      await publisher.publish(everything()).catch(() => null);
    }
  }

  #report(table: string, problem: string): void {
    if (this.#failed.has(table)) return;
    this.#failed.add(table);
    this.#logger.error(
      `The mapper of table ${table} failed (${problem}); the types of the table are invalidated. Let it return what entity(), batch() or pattern() make, or nothing, for every row.`,
    );
  }
}

/** The name of a table without its schema. */
function tableIn(name: string): string {
  return name.slice(name.indexOf('.') + 1);
}
