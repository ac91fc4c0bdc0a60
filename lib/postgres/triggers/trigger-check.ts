import { createHash } from 'node:crypto';
import { InvalidationPostgresError } from '../postgres.error.js';
import { textOf, type TableMappings } from '../mapping/table-mapping.js';
import type { PostgresTransaction } from './trigger-database.js';
import type { TriggerPlan } from './trigger-sql.js';

/**
 * The mapped tables with their partitions and children, and the outbox's triggers of each.
 * `xmin` of a trigger changes whenever it is made, disabled or enabled.
 */
const TRIGGERS = `
with recursive tree (name, oid) as (
  select n.nspname || '.' || c.relname, c.oid
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname || '.' || c.relname = any ($1) and c.relkind in ('r', 'p')
  union select t.name, i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid)
select t.name, t.oid::regclass::text as part,
  (select coalesce(json_agg(json_build_object('name', g.tgname, 'enabled', g.tgenabled,
      'args', encode(g.tgargs, 'hex'), 'body', md5(p.prosrc), 'version', g.oid::text || '.' || g.xmin::text)
      order by g.tgname), '[]')
    from pg_trigger g join pg_proc p on p.oid = g.tgfoid
    where g.tgrelid = t.oid and g.tgname = any ($2))::text as triggers,
  (select coalesce(json_agg(json_build_array(a.attnum, a.attname, a.atttypid, a.atttypmod) order by a.attnum), '[]')
    from pg_attribute a
    where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped)::text as columns,
  (select i.indkey::text from pg_index i where i.indrelid = t.oid and i.indisprimary) as key
from tree t order by t.name, t.oid`;

interface FoundTable {
  readonly name: string;
  readonly part: string;
  readonly triggers: string;
  readonly columns: string;
  readonly key: string | null;
}

interface FoundTrigger {
  readonly name: string;
  readonly enabled: string;
  readonly args: string;
  readonly body: string;
}

/** The result of a check. @internal */
export interface TriggerState {
  /** Why some changes are not seen; `null` if the triggers are right. */
  readonly fault: InvalidationPostgresError | null;
  /** Equal as long as no trigger, mapping or table definition changes. */
  readonly digest: string;
}

const ADVICE =
  'Run as the owner of the table what triggerSql() returns for the options.';

/** @internal */
export const OUTBOX_ADVICE = `Is the outbox there, and may the user select, update and delete its rows? ${ADVICE}`;

/**
 * Checks that each mapped table has its triggers as they should be: the outbox does not
 * show what they have missed.
 *
 * @internal
 */
export async function checkTriggers(
  transaction: PostgresTransaction,
  tables: TableMappings,
  plan: TriggerPlan,
): Promise<TriggerState> {
  const names = Object.keys(tables);
  const found = await transaction.query(TRIGGERS, [names, plan.names]);
  const rows = found.rows as readonly FoundTable[];
  const missing = names.find((name) => !rows.some((row) => row.name === name));
  const fault =
    missing === undefined
      ? (rows.map((row) => faultOf(row, tables, plan)).find(Boolean) ?? null)
      : new InvalidationPostgresError(
          `There is no table ${missing}.`,
          'Create it, or correct its name in the option tables.',
        );
  const hash = createHash('sha1').update(JSON.stringify(rows));
  for (const name of names.toSorted()) hash.update(textOf(tables[name]!));
  return { fault, digest: hash.digest('hex').slice(0, 16) };
}

function faultOf(
  { name, part, triggers }: FoundTable,
  tables: TableMappings,
  plan: TriggerPlan,
): InvalidationPostgresError | null {
  const found: FoundTrigger[] = JSON.parse(triggers);
  for (const expected of plan.expected(name, tables[name]!)) {
    const trigger = found.find((each) => each.name === expected.name);
    const problem =
      trigger === undefined
        ? 'is missing'
        : trigger.enabled !== 'O' && trigger.enabled !== 'A'
          ? 'is disabled'
          : trigger.args !== expected.args || trigger.body !== plan.bodyHash
            ? 'does not fit the options'
            : null;
    if (problem !== null) {
      return new InvalidationPostgresError(
        `Changes of table ${part} are not seen: its trigger ${expected.name} ${problem}.`,
        ADVICE,
      );
    }
  }
  return null;
}
