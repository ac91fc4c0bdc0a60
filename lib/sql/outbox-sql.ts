import { quoteIdentifier, quoteLiteral } from '../common/index.js';
import { TRANSITION_TABLES } from './capture-body.js';
import { quoteName, splitName } from './outbox-name.js';
import { TriggerPlan, type CapturedTable } from './trigger-plan.js';

/** The part of the source's options that its triggers depend on. @publicApi */
export interface TriggerSqlOptions {
  /**
   * The outbox table, with schema.
   *
   * @default 'public.cache_invalidation_outbox'
   */
  readonly outbox?: string;
  /**
   * Rows of one statement; of more, the types of the table are stored.
   *
   * @default 1000
   */
  readonly bulk?: number;
  /** A role that the applications connect as: it is granted what the drain and `announceInOutbox()` need. */
  readonly role?: string;
  /**
   * Whether a commit notifies the instances that have the option `wakeUp`. PostgreSQL
   * takes a lock of the whole cluster for it, and cannot prepare such a transaction for a
   * two-phase commit.
   *
   * @default false
   */
  readonly wakeUp?: boolean;
}

/** SQL that makes the outbox and the triggers of trigger mode, or renews them. @internal */
export function outboxSql(
  tables: readonly CapturedTable[],
  options: TriggerSqlOptions,
): string {
  const plan = new TriggerPlan(options);
  const { outbox, capture } = plan;
  const grants =
    options.role === undefined
      ? ''
      : `GRANT SELECT, INSERT, DELETE ON ${outbox} TO ${quoteIdentifier(options.role)};\n`;
  return `BEGIN;
CREATE TABLE IF NOT EXISTS ${outbox} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid bigint NOT NULL DEFAULT txid_current(),
  created timestamptz NOT NULL DEFAULT clock_timestamp(),
  mapped text NOT NULL,
  kind text NOT NULL,
  content text
);
CREATE OR REPLACE FUNCTION ${capture}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
AS ${dollarQuoted(plan.body)};
REVOKE ALL ON FUNCTION ${capture}() FROM PUBLIC;
${tables.map((table) => tableSql(plan, table)).join('')}${
    // Writers lock a table before the outbox, too: any other order is a deadlock.
    `CREATE INDEX IF NOT EXISTS ${plan.index} ON ${outbox} (xid, id);\n`
  }${wakeSql(plan, options.wakeUp === true)}${grants}COMMIT;
`;
}

/**
 * SQL that removes the outbox with what is in it, and the triggers of all tables.
 *
 * @publicApi
 */
export function dropTriggerSql({
  outbox,
}: Pick<TriggerSqlOptions, 'outbox'> = {}): string {
  const plan = new TriggerPlan(outbox === undefined ? {} : { outbox });
  return `BEGIN;
DROP FUNCTION IF EXISTS ${plan.capture}() CASCADE;
DROP TABLE IF EXISTS ${plan.outbox};
DROP FUNCTION IF EXISTS ${plan.wake}();
COMMIT;
`;
}

/**
 * A trigger of the outbox itself, so that those of the tables are the same with it and
 * without it. All notifications of a transaction are equal, so PostgreSQL sends one.
 */
function wakeSql(plan: TriggerPlan, isWanted: boolean): string {
  const { outbox, wake: notify } = plan;
  const trigger = quoteIdentifier(plan.wakeTrigger);
  const drop = `DROP TRIGGER IF EXISTS ${trigger} ON ${outbox};\n`;
  if (!isWanted) return `${drop}DROP FUNCTION IF EXISTS ${notify}();\n`;
  return `CREATE OR REPLACE FUNCTION ${notify}() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $wake$
BEGIN
  PERFORM pg_notify(TG_TABLE_NAME, '');
  RETURN NULL;
END;
$wake$;
REVOKE ALL ON FUNCTION ${notify}() FROM PUBLIC;
${drop}CREATE TRIGGER ${trigger} AFTER INSERT ON ${outbox}
  FOR EACH STATEMENT EXECUTE FUNCTION ${notify}();
`;
}

/** The triggers of a table, of its partitions, and of the tables that inherit from it. */
function tableSql(plan: TriggerPlan, table: CapturedTable): string {
  const root = quoteLiteral(quoteName(...splitName(table.name)));
  const args = plan.argsOf(table).map(quoteLiteral).join(', ');
  const commands = plan.triggers.flatMap(({ event, name: unquoted }) => {
    const name = quoteIdentifier(unquoted);
    const rows = [
      ...(event === 'update' || event === 'delete'
        ? [`OLD TABLE AS ${TRANSITION_TABLES.old}`]
        : []),
      ...(event === 'update' || event === 'insert'
        ? [`NEW TABLE AS ${TRANSITION_TABLES.new}`]
        : []),
    ];
    const referencing = rows.length > 0 ? `REFERENCING ${rows.join(' ')} ` : '';
    return [
      [`DROP TRIGGER IF EXISTS ${name} ON `, ''],
      [
        `CREATE TRIGGER ${name} AFTER ${event.toUpperCase()} ON `,
        ` ${referencing}FOR EACH STATEMENT EXECUTE FUNCTION ${plan.capture}(${args})`,
      ],
    ] as const;
  });
  const block = `
DECLARE part text;
BEGIN
  FOR part IN
    WITH RECURSIVE tree (oid) AS (
      SELECT ${root}::regclass::oid
      UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
    SELECT oid::regclass::text FROM tree
  LOOP
${commands
  .map(
    ([before, after]) =>
      `    EXECUTE ${quoteLiteral(before)} || part || ${quoteLiteral(after)};\n`,
  )
  .join('')}  END LOOP;
END;
`;
  return `DO ${dollarQuoted(block)};\n`;
}

/** Quotes a text between dollars that it does not have. */
function dollarQuoted(text: string): string {
  let tag = '$capture$';
  for (let number = 1; text.includes(tag); number++) tag = `$capture${number}$`;
  return `${tag}${text}${tag}`;
}
