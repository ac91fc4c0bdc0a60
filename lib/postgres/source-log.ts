import {
  describeCause,
  InvalidationRedisError,
  CacheInvalidationError,
} from '../errors/index.js';
import type { SourceOutlet } from '../publisher/index.js';
import { InvalidationPostgresError, postgresFailed } from './postgres.error.js';
import type { SourceWidening } from './wal/source-place.js';
import type { MapperListener, TableWidening } from './mapping/table-mapper.js';

/** Milliseconds until a fault that lasts is logged again. */
const REPEAT_MS = 60_000;

/** Why types were invalidated whole. @publicApi */
export type PostgresWidening = SourceWidening | TableWidening;

const ADVICE: Partial<Record<TableWidening, string>> = {
  columns:
    'a value that its mapping needs is not in its replica identity, so its types are invalidated for each such row. ALTER TABLE … REPLICA IDENTITY FULL, or map columns of the primary key only.',
};

/**
 * Counts the work of the source, and writes its lines to the log. No line has a value of
 * a row.
 *
 * @internal
 */
export class SourceLog implements MapperListener {
  /** Transactions that were read from the slot. */
  transactions = 0;
  /** Rows of mapped tables in them. */
  rows = 0;
  /** Times that types were invalidated whole, by cause. */
  readonly widenedBy = new Map<PostgresWidening, number>();
  /** The last fault, until the slot is held or seen to be held. */
  fault: CacheInvalidationError | null = null;

  /** Tables whose advice is in the log. */
  readonly #advised = new Set<string>();
  /** When the fault was logged, by `performance.now()`. */
  #loggedAt = -Infinity;

  constructor(private readonly outlet: SourceOutlet) {}

  onWidened(cause: PostgresWidening, table: string | null): void {
    this.widenedBy.set(cause, (this.widenedBy.get(cause) ?? 0) + 1);
    const advice = ADVICE[cause as TableWidening];
    if (advice === undefined || table === null) return;
    if (this.#advised.has(table)) return;
    this.#advised.add(table);
    this.outlet.log(
      'warn',
      `Table ${table}: ${advice}`,
      `postgres ${table} ${cause}`,
    );
  }

  onMapperFailed(table: string, problem: string): void {
    this.outlet.report(
      new InvalidationPostgresError(
        `The mapper of table ${table} failed (${problem}); the types of the table were invalidated.`,
        'Let it return what entity(), batch() or pattern() make, or nothing, for every row.',
      ),
      `postgres mapper ${table}`,
    );
  }

  /** @param place such as `slot cache_invalidation` */
  announces(place: string): void {
    this.fault = null;
    this.outlet.log(
      'log',
      `This instance announces changes in PostgreSQL from now on (${place}).`,
      'postgres',
    );
  }

  waits(slot: string): void {
    this.outlet.log(
      'warn',
      `The slot ${slot} is not made yet: it waits for transactions that are open, prepared ones included. Until then copies may be stale.`,
      'postgres slot',
    );
  }

  /** Every mapped type is invalidated. */
  missed(cause: SourceWidening): void {
    this.onWidened(cause, null);
    this.outlet.log(
      'warn',
      `Changes in PostgreSQL may have been missed (${cause}): all mapped types are invalidated.`,
      `postgres ${cause}`,
    );
  }

  redefined(table: string): void {
    this.onWidened('definition', table);
    this.outlet.log(
      'log',
      `The definition of table ${table} has changed: its types are invalidated.`,
      `postgres ${table} definition`,
    );
  }

  failed(cause: Error): void {
    this.#fault(postgresFailed(cause));
  }

  /** Redis did not take an announcement. */
  unpublished(cause: Error): void {
    this.#fault(
      new InvalidationRedisError(
        `Changes in PostgreSQL cannot be published: ${describeCause(cause)}.`,
        'Nothing is acknowledged, so they are sent again once Redis is back.',
        cause,
      ),
    );
  }

  #fault(error: CacheInvalidationError): void {
    const isNew = this.fault?.message !== error.message;
    this.fault = error;
    const now = performance.now();
    // Every heartbeat tries again.
    if (!isNew && now - this.#loggedAt < REPEAT_MS) return;
    this.#loggedAt = now;
    this.outlet.report(error, `postgres ${error.code}`);
  }
}
