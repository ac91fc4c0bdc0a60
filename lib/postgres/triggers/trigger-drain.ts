import { retryDelay, settlesWithin, withDeadline } from '../../common/index.js';
import { describeCause } from '../../errors/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import type { RelayRecord } from '../../transport/index.js';
import { ChangeSet } from '../mapping/change-set.js';
import { OutboxMapper, takeBatch, type OutboxRow } from './outbox-batch.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { SourceLog } from '../source-log.js';
import { widenTables } from '../mapping/table-mapper.js';
import { checkTriggers, OUTBOX_ADVICE } from './trigger-check.js';
import { PostgresLink, type PostgresDatabase } from './trigger-database.js';
import { TriggerPlan } from './trigger-sql.js';
import { uuidOf } from '../derived-id.js';

/** Milliseconds that a clean stop waits for the batch that is under way. */
const STOP_MS = 1_000;
/** Milliseconds by which two clocks may drift while a row waits, and a part of its age. */
const DRIFT = { ms: 10, part: 0.01 };
/** In the record: triggers are wrong, so that changes are missed. */
const UNSEEN = 'unseen';

/** Codes of PostgreSQL for a table or column that is not there, or a right that is not. */
const SCHEMA_ERROR = /^(42|3F)/;

/** Redis has not taken a batch. */
class NotPublishedError extends Error {}

/**
 * Empties the outbox of trigger mode into the journal. A batch is deleted, published, and
 * then committed: whatever fails leaves it in the outbox. Rows become visible when their
 * transaction commits, and none is passed over: there is no cursor.
 *
 * @internal
 */
export class TriggerDrain {
  state: 'away' | 'holder' | 'off' = 'off';
  /** Unknown: the outbox is not a log. */
  readonly lagBytes = null;
  readonly #plan: TriggerPlan;
  readonly #mapper: OutboxMapper;
  readonly #record: RelayRecord;
  readonly #link: PostgresLink | null;
  readonly #database: PostgresDatabase;
  #isClosed = true;
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> | null = null;
  /** When the triggers were last checked, by `performance.now()`. */
  #checkedAt = -Infinity;
  #fault: InvalidationPostgresError | null = null;

  constructor(
    private readonly options: PostgresSourceOptions,
    private readonly outlet: SourceOutlet,
    private readonly log: SourceLog,
  ) {
    const { tables, bulk, outbox, database, connection, timeout } = options;
    this.#plan = new TriggerPlan(options);
    this.#mapper = new OutboxMapper(tables, bulk, log);
    this.#record = outlet.record(`postgres-triggers:${outbox}`);
    this.#link =
      database === undefined ? new PostgresLink(connection, timeout) : null;
    this.#database = database ?? this.#link!;
  }

  start(): void {
    this.#isClosed = false;
    this.state = 'away';
    this.#workAfter(0);
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#working !== null) await settlesWithin(STOP_MS, this.#working);
    this.#link?.close();
    this.state = 'off';
  }

  #workAfter(delay: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#working = this.#work();
    }, delay);
    this.#timer.unref();
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    const { heartbeat, poll } = this.options;
    if (!this.outlet.writable) {
      this.state = 'away';
      return this.#workAfter(Math.min(heartbeat, retryDelay(0)));
    }
    try {
      if (performance.now() - this.#checkedAt >= heartbeat) await this.#check();
      while (!this.#isClosed && (await this.#drain())) {
        // The next batch.
      }
      if (this.#isClosed) return;
      this.#succeeded();
      this.#workAfter(poll);
    } catch (error) {
      if (this.#isClosed) return;
      this.#failed(error as Error);
      this.#workAfter(heartbeat);
    } finally {
      // The connection may have been opened after the stop.
      if (this.#isClosed) this.#link?.close();
    }
  }

  /** Missing triggers do not keep the others' rows from being announced. */
  #succeeded(): void {
    if (this.#fault !== null) {
      this.state = 'away';
      return;
    }
    if (this.state === 'away')
      this.log.announces(`outbox ${this.options.outbox}`);
    this.state = 'holder';
  }

  #failed(error: Error): void {
    this.state = 'away';
    if (error instanceof NotPublishedError) {
      return this.log.unpublished(error.cause as Error);
    }
    this.log.failed(
      error instanceof InvalidationPostgresError
        ? error
        : new InvalidationPostgresError(
            `The outbox of changes in PostgreSQL cannot be read: ${describeCause(error)}.`,
            SCHEMA_ERROR.test(String((error as { code?: unknown }).code))
              ? OUTBOX_ADVICE
              : 'Trying again; it keeps them meanwhile.',
            error,
          ),
    );
  }

  /** Invalidates all mapped types when triggers or tables have changed. */
  async #check(): Promise<void> {
    const { tables, timeout } = this.options;
    const { fault, digest } = await this.#database.transaction((transaction) =>
      checkTriggers(transaction, tables, this.#plan),
    );
    this.#fault = fault;
    if (fault !== null) this.log.failed(fault);
    const now = fault === null ? digest : UNSEEN;
    await published(timeout, this.#moveRecord(now));
    this.#checkedAt = performance.now();
  }

  async #moveRecord(now: string): Promise<void> {
    const { place } = await this.#record.read();
    if (place.offset === now) return;
    if (now === UNSEEN) {
      await this.#record.forward(place, now, []);
      return;
    }
    const changes = new ChangeSet(1, () => {});
    widenTables(this.options.tables, changes);
    const messages = this.outlet
      .encode(changes.invalidations(), null, null)
      .map((payload) => ({ payload, kind: 'extra' as const, offset: null }));
    const moved = await this.#record.forward(place, now, messages);
    // Another drain has done so.
    if (moved === null) return;
    this.log.missed(place.offset === null ? 'first-start' : 'definition');
  }

  /** @returns whether there may be more */
  async #drain(): Promise<boolean> {
    const startedAt = performance.now();
    const taken = await this.#database.transaction(async (transaction) => {
      const rows = await takeBatch(transaction, this.#plan.outbox);
      if (rows.length === 0) return null;
      const transactions = this.#mapper.transactionsOf(rows);
      await published(
        this.options.timeout,
        this.#publish(transactions, rows, startedAt),
      );
      return transactions;
    });
    if (taken === null) return false;
    this.log.transactions += taken.length;
    for (const { rows } of taken) this.log.rows += rows;
    return true;
  }

  async #publish(
    transactions: ReturnType<OutboxMapper['transactionsOf']>,
    rows: readonly OutboxRow[],
    startedAt: number,
  ): Promise<void> {
    const payloads = transactions.flatMap(({ name, changes }) =>
      this.outlet.encode(changes.invalidations(), null, (index, content) =>
        uuidOf(`${this.options.outbox} ${name} ${index} ${content}`),
      ),
    );
    if (payloads.length === 0) return;
    const tail = await this.outlet.journalTail();
    const waited = performance.now() - startedAt;
    const age = Math.max(...rows.map((row) => Number(row.age))) + waited;
    await this.outlet.publish(payloads, firstTryOf(tail, age));
  }
}

/**
 * The offset from which the journal may have a row's messages, if another drain has
 * published them and was killed: none of them is older than the row. The journal's end
 * tells the time of Redis, so that no clock is compared with PostgreSQL's.
 *
 * @internal
 */
export function firstTryOf(tail: string, age: number): string {
  const end = Number(tail.slice(0, tail.indexOf('-')));
  const back = Math.max(0, age) * (1 + DRIFT.part) + DRIFT.ms;
  return `${Math.max(0, Math.floor(end - back))}-0`;
}

/** Tells a failure of Redis from one of PostgreSQL. */
async function published(timeout: number, work: Promise<void>): Promise<void> {
  try {
    await withDeadline(
      timeout,
      work,
      () => new Error(`Redis did not answer within ${timeout} ms`),
    );
  } catch (cause) {
    throw new NotPublishedError('Redis has not taken a batch', { cause });
  }
}
