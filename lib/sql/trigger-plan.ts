import { createHash } from 'node:crypto';
import { quoteIdentifier } from '../common/index.js';
import { captureBody } from './capture-body.js';
import { DEFAULT_OUTBOX, quoteName, splitName } from './outbox-name.js';

/** @internal */
export const DEFAULT_BULK = 1_000;

const EVENTS = ['insert', 'update', 'delete', 'truncate'] as const;

/** A table whose changes are written into the outbox. @internal */
export interface CapturedTable {
  /** With its schema. */
  readonly name: string;
  /** Primary keys suffice for an entity type; a mapper needs rows. */
  readonly stored: 'keys' | 'rows';
  /** Columns of rows; `null` for all. */
  readonly columns: readonly string[] | null;
}

/** The options that names and definitions depend on. @internal */
export interface TriggerPlanOptions {
  readonly outbox?: string;
  readonly bulk?: number;
}

/**
 * The names of the outbox, its functions and its triggers, and how they are defined.
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
  }: TriggerPlanOptions = {}) {
    [this.#schema, this.#name] = splitName(outbox);
    this.#bulk = bulk;
  }

  /** The quoted name of the outbox table. */
  get outbox(): string {
    return quoteName(this.#schema, this.#name);
  }

  /** The quoted name of the trigger function. */
  get capture(): string {
    return quoteName(this.#schema, `${this.#name}_capture`);
  }

  /** The quoted name of the function that notifies drains. */
  get wake(): string {
    return quoteName(this.#schema, this.wakeTrigger);
  }

  /** The name of the outbox's trigger that calls it. */
  get wakeTrigger(): string {
    return `${this.#name}_wake`;
  }

  /** The channel that a drain listens on: the outbox's name without its schema. */
  get channel(): string {
    return this.#name;
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

  /** Events of a table, each with the name of its trigger. */
  get triggers(): readonly { readonly event: string; readonly name: string }[] {
    return EVENTS.map((event) => ({ event, name: `${this.#name}_${event}` }));
  }

  /** Arguments of a table's triggers. The order of columns makes no difference. */
  argsOf({ name, stored, columns }: CapturedTable): string[] {
    return [
      name,
      stored,
      String(this.#bulk),
      columns === null
        ? 'null'
        : JSON.stringify([...new Set(columns)].toSorted()),
    ];
  }

  /** The arguments as the server's catalog keeps them, in hexadecimal digits. */
  storedArgsOf(table: CapturedTable): string {
    const args = this.argsOf(table)
      .map((arg) => `${arg}\0`)
      .join('');
    return Buffer.from(args).toString('hex');
  }
}
