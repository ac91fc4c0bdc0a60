import { LOG_END } from '../log-end.js';
import type { PostgresTransaction } from './trigger-database.js';

const UNKNOWN = 'null::text';
/** Codes of PostgreSQL, which all have a digit; those of lost connections have none. */
const SQL_STATE = /^(?=.*\d)[0-9A-Z]{5}$/;

/**
 * SQL for the end of a database's log that fails no transaction: some databases that
 * speak PostgreSQL's protocol have no log to be asked for.
 *
 * @internal
 */
export class LogEndQuery {
  #sql: string | null = null;

  constructor(private readonly database: PostgresTransaction) {}

  /** Never rejects. @returns `null::text` where the end is not known */
  async sql(): Promise<string> {
    if (this.#sql !== null) return this.#sql;
    try {
      await this.database.query(`select ${LOG_END}`);
      this.#sql = LOG_END;
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (SQL_STATE.test(String(code))) this.#sql = UNKNOWN;
    }
    return this.#sql ?? UNKNOWN;
  }
}
