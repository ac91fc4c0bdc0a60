import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { CacheInvalidationError } from '../errors/index.js';
import { SourceOutlet } from '../publisher/index.js';
import { InvalidationPostgresError } from './postgres.error.js';
import { POSTGRES_SOURCE_OPTIONS } from './postgres.constants.js';
import type { PostgresSourceOptions } from './postgres.options.js';
import { SourceLog, type PostgresWidening } from './source-log.js';
import { TriggerDrain } from './triggers/trigger-drain.js';
import { SlotReader } from './wal/slot-reader.js';

/**
 * - `off`: the module is switched off, or this application only receives
 * - `holder`: this instance announces the changes; in trigger mode several do
 * - `standby`: another instance does
 * - `away`: PostgreSQL or Redis does not answer, or refuses; see `fault`
 *
 * @publicApi
 */
export type PostgresSourceState = 'off' | 'holder' | 'standby' | 'away';

/** @publicApi */
export interface PostgresSourceStatus {
  readonly state: PostgresSourceState;
  /** The last error; `null` while an instance has the slot. */
  readonly fault: CacheInvalidationError | null;
  /** Bytes of the log that are not announced yet; `null` unless this is the holder in WAL mode. */
  readonly lagBytes: number | null;
  /** Transactions that this instance has read from the slot. */
  readonly transactions: number;
  /** Rows of mapped tables in them. */
  readonly rows: number;
  /** Times that types were invalidated whole, by cause. */
  readonly widened: Readonly<Partial<Record<PostgresWidening, number>>>;
}

/**
 * Announces the changes of a PostgreSQL database, whoever writes them. Of all instances
 * that share the slot, one does.
 *
 * @publicApi
 */
@Injectable()
export class PostgresSource
  implements OnApplicationBootstrap, BeforeApplicationShutdown
{
  readonly #log: SourceLog;
  readonly #reader: SlotReader | TriggerDrain;

  /** @internal */
  constructor(
    @Inject(POSTGRES_SOURCE_OPTIONS) options: PostgresSourceOptions,
    private readonly outlet: SourceOutlet,
  ) {
    this.#log = new SourceLog(outlet);
    const Reader = options.mode === 'triggers' ? TriggerDrain : SlotReader;
    this.#reader = new Reader(options, outlet, this.#log);
  }

  /** The state and the counts of this instance's source. */
  status(): PostgresSourceStatus {
    const { transactions, rows, widenedBy, fault } = this.#log;
    return {
      state: this.#reader.state,
      fault,
      lagBytes: this.#reader.lagBytes,
      transactions,
      rows,
      widened: Object.fromEntries(widenedBy),
    };
  }

  /** @internal */
  onApplicationBootstrap(): void {
    if (!this.outlet.isEnabled) return;
    if (this.outlet.isJournaled) return this.#reader.start();
    this.#reader.state = 'away';
    this.#log.failed(
      new InvalidationPostgresError(
        'Changes in PostgreSQL are not announced: the channel has no journal.',
        'Give CacheInvalidationModule the option journal.',
      ),
    );
  }

  /** @internal */
  beforeApplicationShutdown(): Promise<void> {
    return this.#reader.stop();
  }
}
