import {
  describeCause,
  InvalidationRedisError,
  CacheInvalidationError,
} from '../errors/index.js';
import type {
  InvalidationSourceState,
  InvalidationSources,
} from '../observability/index.js';
import type { SourceOutlet } from '../publisher/index.js';
import { InvalidationPostgresError, postgresFailed } from './postgres.error.js';
import type { SlotState } from './wal/replication-slot.js';
import type { SourceWidening } from './wal/source-place.js';
import type { MapperListener, TableWidening } from './mapping/table-mapper.js';

/** Milliseconds until a fault that lasts is logged again. */
const REPEAT_MS = 60_000;

/** Milliseconds for which the sizes that a look at the slot has found are reported. */
const LATELY_MS = 60_000;

type SeenSlot = Pick<SlotState, 'activePid' | 'retainedBytes' | 'spareBytes'>;

/** Why types were invalidated whole. @publicApi */
export type PostgresWidening = SourceWidening | TableWidening;

const ADVICE: Partial<Record<TableWidening, string>> = {
  columns:
    'a value that its mapping needs is not in its replica identity, so its types are invalidated for each such row. ALTER TABLE … REPLICA IDENTITY FULL, or map columns of the primary key only.',
};

/** Every cause, with those that are not counted yet. @internal */
export const POSTGRES_WIDENINGS = Object.keys({
  'first-start': 0,
  slot: 0,
  restart: 0,
  timeline: 0,
  rewound: 0,
  'other-server': 0,
  definition: 0,
  bulk: 0,
  columns: 0,
  mapper: 0,
  truncate: 0,
  message: 0,
} satisfies Record<PostgresWidening, 0>) as PostgresWidening[];

/**
 * Counts the work of the source, knows its state, and writes its lines to the log. No line
 * has a value of a row.
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
  /** The last look at the slot, and when it was, by `performance.now()`. */
  #look: { readonly slot: SeenSlot; readonly at: number } | null = null;
  #state: InvalidationSourceState = 'off';
  /** When a holder was last seen, or this instance started, by `performance.now()`. */
  #heldAt = 0;
  /** Tables whose advice is in the log. */
  readonly #advised = new Set<string>();
  /** When the fault was logged, by `performance.now()`. */
  #loggedAt = -Infinity;

  constructor(
    /** The name of the source. */
    private readonly name: string,
    private readonly outlet: SourceOutlet,
    private readonly sources: InvalidationSources,
  ) {}

  get state(): InvalidationSourceState {
    return this.#state;
  }

  set state(state: InvalidationSourceState) {
    if (state === this.#state) return;
    if (this.#state === 'off') this.holderSeen();
    this.#state = state;
    this.sources.stateChanged(this.name, state, this.fault?.message ?? null);
  }

  /** Milliseconds since a holder was last seen, or since the start. */
  get holderAge(): number {
    return performance.now() - this.#heldAt;
  }

  /** The slot, if this instance has looked at it lately. */
  get slot(): SeenSlot | null {
    const look = this.#look;
    if (look === null || performance.now() - look.at > LATELY_MS) return null;
    return look.slot;
  }

  /** @param slot `null` if there is none */
  saw(slot: SeenSlot | null): void {
    this.#look = slot && { slot, at: performance.now() };
    if (slot !== null && slot.activePid !== null) this.holderSeen();
  }

  /** Some instance reads the source. */
  holderSeen(): void {
    this.#heldAt = performance.now();
  }

  onWidened(cause: PostgresWidening, table: string | null): void {
    this.widenedBy.set(cause, (this.widenedBy.get(cause) ?? 0) + 1);
    this.sources.widened(this.name, cause);
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
    this.holderSeen();
    this.state = 'holder';
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
    this.state = 'away';
    const now = performance.now();
    // Every heartbeat tries again.
    if (!isNew && now - this.#loggedAt < REPEAT_MS) return;
    this.#loggedAt = now;
    this.outlet.report(error, `postgres ${error.code}`);
  }
}
