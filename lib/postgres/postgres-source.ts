import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { CacheInvalidationError } from '../errors/index.js';
import {
  InvalidationSources,
  type InvalidationSourceStatus,
} from '../observability/index.js';
import { SourceOutlet } from '../publisher/index.js';
import { connectionsEnded } from './postgres-client.js';
import { InvalidationPostgresError } from './postgres.error.js';
import { POSTGRES_SOURCE_OPTIONS } from './postgres.constants.js';
import type { PostgresSourceOptions } from './postgres.options.js';
import {
  POSTGRES_WIDENINGS,
  SourceLog,
  type PostgresWidening,
} from './source-log.js';
import { sourceName } from './source-name.js';
import { TriggerDrain } from './triggers/trigger-drain.js';
import { SlotReader } from './wal/slot-reader.js';

/** A PostgreSQL source, as this instance sees it. @publicApi */
export interface PostgresSourceStatus extends InvalidationSourceStatus {
  /** The last error; `null` while an instance has the slot. */
  readonly fault: CacheInvalidationError | null;
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
    sources: InvalidationSources,
  ) {
    const name = sourceName(options);
    this.#log = new SourceLog(name, outlet, sources);
    const Reader = options.mode === 'triggers' ? TriggerDrain : SlotReader;
    this.#reader = new Reader(options, outlet, this.#log);
    sources.add({
      name,
      causes: POSTGRES_WIDENINGS,
      record: outlet.record(name),
      period: options.heartbeat,
      status: () => this.status(),
    });
  }

  /** The state and the counts of this instance's source. */
  status(): PostgresSourceStatus {
    const { waiting, lag } = this.#reader;
    const { state, fault, holderAge, transactions, rows } = this.#log;
    const { slot, widenedBy } = this.#log;
    return {
      state,
      fault,
      holderSeen: state === 'off' ? null : holderAge,
      lagBytes: lag?.bytes ?? null,
      lagMs: lag?.ms ?? null,
      waiting,
      retainedBytes: slot?.retainedBytes ?? null,
      spareBytes: slot?.spareBytes ?? null,
      transactions,
      rows,
      widened: Object.fromEntries(widenedBy),
    };
  }

  /** @internal */
  onApplicationBootstrap(): void {
    if (!this.outlet.isEnabled) return;
    if (this.outlet.isJournaled) return this.#reader.start();
    this.#log.failed(
      new InvalidationPostgresError(
        'Changes in PostgreSQL are not announced: the channel has no journal.',
        'Give CacheInvalidationModule the option journal.',
      ),
    );
  }

  /** @internal */
  async beforeApplicationShutdown(): Promise<void> {
    await this.#reader.stop();
    await connectionsEnded();
  }
}
