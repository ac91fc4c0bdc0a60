import { createHash } from 'node:crypto';
import { quoteIdentifier, quoteLiteral } from '../../common/index.js';
import { captureBody, TRANSITION_TABLES } from './trigger-function.js';
import {
  columnsOf,
  type TableMapping,
  type TableMappings,
} from '../mapping/table-mapping.js';

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
  /** A role that the applications connect as: it is granted what the drain needs. */
  readonly role?: string;
}

/** @internal */
export const DEFAULT_OUTBOX = 'public.cache_invalidation_outbox';
/** @internal */
export const DEFAULT_BULK = 1_000;

const EVENTS = ['insert', 'update', 'delete', 'truncate'] as const;

/** One of the triggers of a mapped table, as the server shall have it. @internal */
export interface ExpectedTrigger {
  readonly name: string;
  /** Arguments as the server's catalog keeps them, in hexadecimal digits. */
  readonly args: string;
}

/**
 * The names of the outbox, its function and its triggers, and how they are defined.
 *
 * @internal
 */
export class TriggerPlan {
  readonly #schema: string;
  readonly #name: string;
  readonly #bulk: number;

  constructor({
    outbox = DEFAULT_OUTBOX,
    bulk = DEFAULT_BULK,
  }: TriggerSqlOptions) {
    [this.#schema, this.#name] = split(outbox);
    this.#bulk = bulk;
  }

  /** The quoted name of the outbox table. */
  get outbox(): string {
    return quoted(this.#schema, this.#name);
  }

  /** The quoted name of the trigger function. */
  get capture(): string {
    return quoted(this.#schema, `${this.#name}_capture`);
  }

  get body(): string {
    return captureBody(this.outbox);
  }

  /** The hash of the function's body, as the server's `md5(prosrc)`. */
  get bodyHash(): string {
    return createHash('md5').update(this.body).digest('hex');
  }

  get index(): string {
    return quoteIdentifier(`${this.#name}_order`);
  }

  /** Names of the triggers of each table, in the order of their events. */
  get names(): string[] {
    return EVENTS.map((event) => `${this.#name}_${event}`);
  }

  argsOf(table: string, mapping: TableMapping): string[] {
    const columns = columnsOf(mapping);
    return [
      table,
      typeof mapping === 'string' ? 'keys' : 'rows',
      String(this.#bulk),
      columns === null ? 'null' : JSON.stringify(columns),
    ];
  }

  expected(table: string, mapping: TableMapping): ExpectedTrigger[] {
    const args = this.argsOf(table, mapping)
      .map((arg) => `${arg}\0`)
      .join('');
    const hex = Buffer.from(args).toString('hex');
    return this.names.map((name) => ({ name, args: hex }));
  }
}

/**
 * SQL that makes the outbox and the triggers of trigger mode, or renews them. The owner of
 * the mapped tables runs it, again after every change of the option `tables`, of `bulk`,
 * or of a table's partitions. It is one transaction, and waits for open transactions that
 * have written to the tables.
 *
 * @example
 * ```ts
 * await pglite.exec(triggerSql({ 'public.users': 'User' }));
 * ```
 * @publicApi
 */
export function triggerSql(
  tables: TableMappings,
  options: TriggerSqlOptions = {},
): string {
  const plan = new TriggerPlan(options);
  const { outbox, capture } = plan;
  const grants =
    options.role === undefined
      ? ''
      : `GRANT SELECT, INSERT, UPDATE, DELETE ON ${outbox} TO ${quoteIdentifier(options.role)};\n`;
  return `BEGIN;
CREATE TABLE IF NOT EXISTS ${outbox} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid bigint NOT NULL DEFAULT txid_current(),
  created timestamptz NOT NULL DEFAULT clock_timestamp(),
  mapped text NOT NULL,
  kind text NOT NULL,
  content text
);
CREATE INDEX IF NOT EXISTS ${plan.index} ON ${outbox} (xid, id);
${grants}CREATE OR REPLACE FUNCTION ${capture}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
AS ${dollarQuoted(plan.body)};
REVOKE ALL ON FUNCTION ${capture}() FROM PUBLIC;
${Object.entries(tables)
  .map(([table, mapping]) => tableSql(plan, table, mapping))
  .join('')}COMMIT;
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
COMMIT;
`;
}

/** The triggers of a table, of its partitions, and of the tables that inherit from it. */
function tableSql(
  plan: TriggerPlan,
  table: string,
  mapping: TableMapping,
): string {
  const root = quoteLiteral(quoted(...split(table)));
  const args = plan.argsOf(table, mapping).map(quoteLiteral).join(', ');
  const commands = EVENTS.flatMap((event, index) => {
    const name = quoteIdentifier(plan.names[index]!);
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

function split(name: string): [schema: string, table: string] {
  const dot = name.indexOf('.');
  return [name.slice(0, dot), name.slice(dot + 1)];
}

function quoted(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}
