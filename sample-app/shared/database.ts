/**
 * All that a service needs of PostgreSQL. Two implementations: PGlite inside the
 * process, and a server, if `DATABASE_URL` names one.
 */
export abstract class Database {
  abstract query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;

  /** Several statements without parameters, as one transaction. */
  abstract run(sql: string): Promise<void>;

  abstract close(): Promise<void>;
}
