import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { retryDelay, settlesWithin } from '../common/index.js';
import type { CacheInvalidationError } from '../errors/index.js';
import { SourceOutlet } from '../publisher/index.js';
import { HolderSession, type HolderParts } from './holder-session.js';
import { endQuietly } from './postgres-client.js';
import { InvalidationPostgresError } from './postgres.error.js';
import { POSTGRES_SOURCE_OPTIONS } from './postgres.constants.js';
import type { PostgresSourceOptions } from './postgres.options.js';
import { Publication } from './publication.js';
import { isTaken, ReplicationSlot } from './replication-slot.js';
import { startSession } from './session-start.js';
import { SlotElection } from './slot-election.js';
import { SourceLog, type PostgresWidening } from './source-log.js';
import { TriggerDrain } from './trigger-drain.js';

/** Milliseconds that a stop waits for a connection that is being opened. */
const STOP_MS = 1_000;

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
  readonly #slot: ReplicationSlot;
  readonly #election: SlotElection;
  /** `null` in WAL mode. */
  readonly #drain: TriggerDrain | null;
  #state: PostgresSourceState = 'off';
  #session: HolderSession | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #isClosed = true;
  /** When this instance last took the slot, by `performance.now()`. */
  #heldSince = 0;

  /** @internal */
  constructor(
    @Inject(POSTGRES_SOURCE_OPTIONS)
    private readonly options: PostgresSourceOptions,
    private readonly outlet: SourceOutlet,
  ) {
    this.#log = new SourceLog(outlet);
    this.#slot = new ReplicationSlot(options.slot);
    const { publication, tables } = options;
    this.#election = new SlotElection(
      options,
      this.#slot,
      new Publication(publication, Object.keys(tables)),
      this.#log,
    );
    this.#drain =
      options.mode === 'triggers'
        ? new TriggerDrain(options, outlet, this.#log)
        : null;
  }

  /** The state and the counts of this instance's source. */
  status(): PostgresSourceStatus {
    const { transactions, rows, widenedBy, fault } = this.#log;
    const isOff = this.#state === 'off';
    return {
      state: isOff ? (this.#drain?.state ?? 'off') : this.#state,
      fault,
      lagBytes: this.#session?.lagBytes ?? null,
      transactions,
      rows,
      widened: Object.fromEntries(widenedBy),
    };
  }

  /** @internal */
  onApplicationBootstrap(): void {
    if (!this.outlet.isEnabled) return;
    if (!this.outlet.isJournaled) {
      this.#fail(
        new InvalidationPostgresError(
          'Changes in PostgreSQL are not announced: the channel has no journal.',
          'Give CacheInvalidationModule the option journal.',
        ),
      );
      return;
    }
    if (this.#drain !== null) return this.#drain.start();
    this.#isClosed = false;
    this.#state = 'away';
    this.#lookAfter(0);
  }

  /** @internal */
  async beforeApplicationShutdown(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#election.close();
    if (this.#looking !== null) await settlesWithin(STOP_MS, this.#looking);
    await this.#session?.stop();
    await this.#drain?.stop();
    this.#session = null;
    this.#state = 'off';
  }

  #lookAfter(delay: number): void {
    if (this.#isClosed) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#looking = this.#look();
    }, delay);
    this.#timer.unref();
  }

  /** Takes the slot if it is free. Never rejects. */
  async #look(): Promise<void> {
    const { heartbeat } = this.options;
    // A holder without Redis would keep others from announcing.
    if (!this.outlet.writable) {
      this.#state = 'away';
      return this.#lookAfter(Math.min(heartbeat, retryDelay(0)));
    }
    try {
      if (await this.#enter()) return;
      this.#state = 'standby';
      this.#log.fault = null;
      this.#lookAfter(heartbeat);
    } catch (error) {
      if (this.#isClosed) return;
      this.#fail(error as Error);
      this.#lookAfter(heartbeat);
    }
  }

  /** @returns whether this instance is the holder now */
  async #enter(): Promise<boolean> {
    const links = await this.#election.enter();
    if (links === null) return false;
    const record = this.outlet.record(`postgres:${this.options.slot}`);
    try {
      const start = await startSession(this.options, this.#slot, record, links);
      if (this.#isClosed) throw new Error('The application shuts down');
      this.#hold(new HolderSession(this.#parts(), links, record, start));
      return true;
    } catch (error) {
      endQuietly(links.replication);
      endQuietly(links.control.client);
      if (isTaken(error)) return false;
      throw error;
    }
  }

  #hold(session: HolderSession): void {
    this.#session = session;
    this.#heldSince = performance.now();
    this.#state = 'holder';
    session.begin();
  }

  #parts(): HolderParts {
    const { heartbeat } = this.options;
    return {
      options: this.options,
      outlet: this.outlet,
      log: this.#log,
      onEnded: (cause: Error | null) => {
        this.#session = null;
        this.#state = 'away';
        if (cause !== null) this.#log.failed(cause);
        // At once, unless it would go on so.
        const hasLasted = performance.now() - this.#heldSince > heartbeat;
        this.#lookAfter(hasLasted ? retryDelay(0) : heartbeat);
      },
    };
  }

  #fail(error: Error): void {
    this.#state = 'away';
    this.#election.close();
    this.#log.failed(error);
  }
}
