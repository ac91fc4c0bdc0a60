/** What can be asked, within a transaction or not. */
export interface Queries {
  query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;
}

/**
 * All that a service needs of PostgreSQL. Two implementations: PGlite inside the
 * process, and a server, if `DATABASE_URL` names one.
 */
export abstract class Database implements Queries {
  abstract query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;

  /** Commits what `work` did once it resolves; undoes it if it rejects. */
  abstract transaction<T>(
    work: (transaction: Queries) => Promise<T>,
  ): Promise<T>;

  /** Several statements without parameters, as one transaction. */
  abstract run(sql: string): Promise<void>;

  abstract close(): Promise<void>;
}
