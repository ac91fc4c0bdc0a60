import { retryDelay, settlesWithin } from '../../common/index.js';
import { describeCause } from '../../errors/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import { TriggerPlan } from '../../sql/index.js';
import { uuidOf } from '../derived-id.js';
import { positionBefore } from '../log-end.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { SourceLog } from '../source-log.js';
import { LogEndQuery } from './log-end-query.js';
import { NotPublishedError, published } from './not-published.error.js';
import {
  hasRows,
  OutboxMapper,
  takeBatch,
  type OutboxRow,
} from './outbox-batch.js';
import { PostgresLink, type PostgresDatabase } from './trigger-database.js';
import { OUTBOX_ADVICE, TriggerWatch } from './trigger-watch.js';

/** Milliseconds that a clean stop waits for the batch that is under way. */
const STOP_MS = 1_000;
/** Milliseconds by which two clocks may drift while a row waits, and a part of its age. */
const DRIFT = { ms: 10, part: 0.01 };
/** Codes of PostgreSQL for a table or column that is not there, or a right that is not. */
const SCHEMA_ERROR = /^(42|3F)/;

/**
 * Empties the outbox of trigger mode into the journal. A batch is deleted, published, and
 * then committed: whatever fails leaves it in the outbox. Rows become visible when their
 * transaction commits, and none is passed over: there is no cursor.
 *
 * @internal
 */
export class TriggerDrain {
  readonly #plan: TriggerPlan;
  readonly #mapper: OutboxMapper;
  readonly #watch: TriggerWatch;
  readonly #link: PostgresLink | null;
  readonly #database: PostgresDatabase;
  readonly #logEnd: LogEndQuery;
  #isClosed = true;
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> | null = null;
  /** Whether the timer waits for `poll`, and not after a failure. */
  #isIdle = false;
  /** Whether a commit has notified this instance since the outbox was last looked into. */
  #isNotified = false;
  #unlisten: (() => Promise<unknown>) | null = null;

  constructor(
    private readonly options: PostgresSourceOptions,
    private readonly outlet: SourceOutlet,
    private readonly log: SourceLog,
  ) {
    const { tables, bulk, database, connection, timeout } = options;
    this.#plan = new TriggerPlan(options);
    this.#mapper = new OutboxMapper(tables, bulk, log);
    this.#link =
      database === undefined ? new PostgresLink(connection, timeout) : null;
    this.#database = database ?? this.#link!;
    this.#logEnd = new LogEndQuery(this.#database);
    this.#watch = new TriggerWatch(options, outlet, log, this.#database);
  }

  /** Age of the oldest row that waits; `null` where that is not known. The outbox is not a log. */
  get lag(): { readonly bytes: null; readonly ms: number } | null {
    const { backlog } = this.#watch;
    return backlog && { bytes: null, ms: backlog.age };
  }

  /** Rows that wait in the outbox, up to 10,000; `null` where that is not known. */
  get waiting(): number | null {
    return this.#watch.backlog?.waiting ?? null;
  }

  start(): void {
    this.#isClosed = false;
    this.log.state = 'away';
    this.#workAfter(0);
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const ending = Promise.all([this.#working, this.#unlisten?.()]);
    await settlesWithin(STOP_MS, ending);
    this.#link?.close();
    this.log.state = 'off';
  }

  #workAfter(delay: number, isIdle = false): void {
    if (this.#isClosed) return;
    this.#isIdle = isIdle;
    this.#timer = setTimeout(() => this.#begin(), delay);
    this.#timer.unref();
  }

  #begin(): void {
    this.#isIdle = false;
    this.#working = this.#work();
  }

  #notified(): void {
    this.#isNotified = true;
    if (!this.#isIdle || this.#isClosed) return;
    clearTimeout(this.#timer!);
    this.#begin();
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    const { heartbeat, poll, wakeUp } = this.options;
    try {
      if (!this.outlet.writable) {
        this.log.state = 'away';
        await this.#watch.look();
        return this.#workAfter(Math.min(heartbeat, retryDelay(0)));
      }
      if (wakeUp && this.#unlisten === null) await this.#listen();
      let hasMore: boolean;
      do {
        this.#isNotified = false;
        await this.#watch.check();
        hasMore = await this.#drain();
        if (this.#isClosed) return;
        this.#succeeded();
      } while (hasMore || this.#isNotified);
      this.#workAfter(Math.min(poll, heartbeat), true);
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
    this.log.holderSeen();
    if (this.#watch.fault === null && this.log.state !== 'holder') {
      this.log.announces(`outbox ${this.options.outbox}`);
    }
  }

  #failed(error: Error): void {
    if (error instanceof NotPublishedError) {
      return this.log.unpublished(error.cause as Error);
    }
    this.#watch.backlog = null;
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

  async #listen(): Promise<void> {
    const { channel } = this.#plan;
    this.#unlisten =
      (await this.#database.listen?.(channel, () => this.#notified())) ?? null;
  }

  /** @returns whether there may be more */
  async #drain(): Promise<boolean> {
    if (this.#isClosed) return false;
    if (!(await hasRows(this.#database, this.#plan.outbox))) return false;
    const logEnd = await this.#logEnd.sql();
    const startedAt = performance.now();
    const taken = await this.#database.transaction(async (transaction) => {
      const rows = await takeBatch(transaction, this.#plan.outbox, logEnd);
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
    const pg = positionBefore(rows[0]!.log_end);
    const at = pg === null ? null : { pg };
    const payloads = transactions.flatMap(({ name, changes }) =>
      this.outlet.encode(changes.invalidations(), at, (index, content) =>
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
