import { createHash } from 'node:crypto';
import type { SourceOutlet } from '../../publisher/index.js';
import {
  readTriggers,
  TriggerPlan,
  type CapturedPart,
} from '../../sql/index.js';
import type { RelayRecord } from '../../transport/index.js';
import { ChangeSet } from '../mapping/change-set.js';
import { widenTables } from '../mapping/table-mapper.js';
import { textOf, type TableMappings } from '../mapping/table-mapping.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { SourceLog } from '../source-log.js';
import { published } from './not-published.error.js';
import type { PostgresDatabase } from './trigger-database.js';
import { capturedTables } from './trigger-sql.js';

/** In the record: triggers are wrong, so that changes are missed. */
const UNSEEN = 'unseen';

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
  readonly #record: RelayRecord;
  /** By `performance.now()`. */
  #checkedAt = -Infinity;

  constructor(
    private readonly options: PostgresSourceOptions,
    private readonly outlet: SourceOutlet,
    private readonly log: SourceLog,
    private readonly database: PostgresDatabase,
  ) {
    this.#record = outlet.record(`postgres-triggers:${options.outbox}`);
  }

  /** @throws what PostgreSQL answers, and NotPublishedError */
  async check(): Promise<void> {
    const { tables, timeout, heartbeat } = this.options;
    if (performance.now() - this.#checkedAt < heartbeat) return;
    const { parts, fingerprint } = await readTriggers(
      async (text, values) => (await this.database.query(text, values)).rows,
      capturedTables(tables),
      new TriggerPlan(this.options),
    );
    this.fault = faultIn(parts);
    if (this.fault !== null) this.log.failed(this.fault);
    const now = this.fault === null ? digestOf(fingerprint, tables) : UNSEEN;
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
