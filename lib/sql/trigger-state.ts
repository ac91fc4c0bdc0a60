import type { CapturedTable, TriggerPlan } from './trigger-plan.js';

/**
 * The mapped tables with their partitions and children, and the outbox's triggers of each.
 * `xmin` of a trigger changes whenever it is made, disabled or enabled, and the file of the
 * outbox when that is truncated.
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
  (select i.indkey::text from pg_index i where i.indrelid = t.oid and i.indisprimary) as key,
  pg_relation_filenode(to_regclass($3)) as outbox
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

/** A mapped table, or a partition or a child of one. @internal */
export interface CapturedPart {
  /** The mapped table. */
  readonly table: string;
  /** The name of the part; `null` if there is no such table. */
  readonly part: string | null;
  /** The trigger that does not write its changes, and why; `null` if all do. */
  readonly problem: string | null;
}

/** @internal */
export interface TriggerState {
  readonly parts: readonly CapturedPart[];
  /** Equal as long as no trigger and no table definition changes. */
  readonly fingerprint: string;
}

/** @internal */
export type SqlQuery = (
  text: string,
  values: unknown[],
) => Promise<readonly unknown[]>;

/** Reads whether each mapped table has its triggers as the plan defines them. @internal */
export async function readTriggers(
  query: SqlQuery,
  tables: readonly CapturedTable[],
  plan: TriggerPlan,
): Promise<TriggerState> {
  const rows = (await query(TRIGGERS, [
    tables.map(({ name }) => name),
    plan.triggers.map(({ name }) => name),
    plan.outbox,
  ])) as readonly FoundTable[];
  const parts = tables.flatMap((table): CapturedPart[] => {
    const found = rows.filter(({ name }) => name === table.name);
    if (found.length === 0) {
      return [{ table: table.name, part: null, problem: null }];
    }
    return found.map(({ part, triggers }) => ({
      table: table.name,
      part,
      problem: problemOf(JSON.parse(triggers), table, plan),
    }));
  });
  return { parts, fingerprint: JSON.stringify(rows) };
}

function problemOf(
  found: readonly FoundTrigger[],
  table: CapturedTable,
  plan: TriggerPlan,
): string | null {
  const args = plan.storedArgsOf(table);
  for (const { name } of plan.triggers) {
    const trigger = found.find((each) => each.name === name);
    if (trigger === undefined) return `its trigger ${name} is missing`;
    if (trigger.enabled !== 'O' && trigger.enabled !== 'A') {
      return `its trigger ${name} is disabled`;
    }
    if (trigger.args !== args || trigger.body !== plan.bodyHash) {
      return `its trigger ${name} does not fit the options`;
    }
  }
  return null;
}
