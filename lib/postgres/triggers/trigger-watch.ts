import { createHash } from 'node:crypto';
import type { SourceOutlet } from '../../publisher/index.js';
import {
  readTriggers,
  TriggerPlan,
  type CapturedPart,
} from '../../sql/index.js';
import { textOf, type TableMappings } from '../mapping/table-mapping.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { SourceLog } from '../source-log.js';
import { sourceName } from '../source-name.js';
import { published } from './not-published.error.js';
import { readBacklog, type OutboxBacklog } from './outbox-backlog.js';
import type { PostgresDatabase } from './trigger-database.js';
import { TriggerRecord } from './trigger-record.js';
import { capturedTables } from './trigger-sql.js';

const ADVICE =
  'Run as the owner of the table what triggerSql() returns for the options.';

/** @internal */
export const OUTBOX_ADVICE = `Is the outbox there, and may the user select and delete its rows? ${ADVICE}`;

/**
 * Checks each heartbeat that every mapped table has its triggers: the outbox does not show
 * what they have missed. Whenever triggers or tables have changed, every mapped type is
 * invalidated, once for all instances, by a record beside the journal.
 *
 * @internal
 */
export class TriggerWatch {
  /** Why some changes are not seen; `null` if the triggers are right. */
  fault: InvalidationPostgresError | null = null;
  /** The rows that wait, as of the last look; `null` where that is not known. */
  backlog: OutboxBacklog | null = null;
  readonly #record: TriggerRecord;
  readonly #plan: TriggerPlan;
  /** When the outbox was last looked at, by `performance.now()`. */
  #lookedAt = 0;
  /** By `performance.now()`. */
  #checkedAt = -Infinity;

  constructor(
    private readonly options: PostgresSourceOptions,
    outlet: SourceOutlet,
    private readonly log: SourceLog,
    private readonly database: PostgresDatabase,
  ) {
    const record = outlet.record(sourceName(options));
    this.#record = new TriggerRecord(record, options.tables, outlet, log);
    this.#plan = new TriggerPlan(options);
  }

  /** @throws what PostgreSQL answers, and NotPublishedError */
  async check(): Promise<void> {
    const { timeout, heartbeat } = this.options;
    if (performance.now() - this.#checkedAt < heartbeat) return;
    const { digest, provenAt } = await this.look();
    await published(timeout, this.#record.found(digest, provenAt));
    this.#checkedAt = performance.now();
  }

  /**
   * Finds out whether the triggers are right, and what waits in the outbox.
   *
   * @throws what PostgreSQL answers
   */
  async look(): Promise<{ digest: string | null; provenAt: number | null }> {
    const { tables } = this.options;
    const before = this.backlog;
    const at = performance.now();
    const { parts, fingerprint } = await readTriggers(
      async (text, values) => (await this.database.query(text, values)).rows,
      capturedTables(tables),
      this.#plan,
    );
    // After the triggers: what this snapshot sees was written under them.
    this.backlog = await readBacklog(
      this.database,
      this.#plan.outbox,
      before?.snapshot ?? null,
    );
    const provenAt = this.backlog.isDrained ? this.#lookedAt : null;
    this.#lookedAt = at;
    this.fault = faultIn(parts);
    if (this.fault !== null) this.log.failed(this.fault);
    if (this.fault !== null) return { digest: null, provenAt };
    const digest = digestOf(fingerprint, tables);
    return { digest: `${digest}.${this.backlog.start}`, provenAt };
  }
}

function faultIn(
  parts: readonly CapturedPart[],
): InvalidationPostgresError | null {
  for (const { table, part, problem } of parts) {
    if (part === null) {
      return new InvalidationPostgresError(
        `There is no table ${table}.`,
        'Create it, or correct its name in the option tables.',
      );
    }
    if (problem !== null) {
      return new InvalidationPostgresError(
        `Changes of table ${part} are not seen: ${problem}.`,
        ADVICE,
      );
    }
  }
  return null;
}

function digestOf(fingerprint: string, tables: TableMappings): string {
  const hash = createHash('sha1').update(fingerprint);
  for (const name of Object.keys(tables).toSorted()) {
    hash.update(textOf(tables[name]!));
  }
  return hash.digest('hex').slice(0, 16);
}
