import { InvalidationScope } from 'nestjs-cache-invalidation';

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

  /**
   * Commits what `work` did once it resolves; undoes it if it rejects. What is
   * published in the course of it is told after the commit, or never.
   */
  transaction<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    // One of its own, even within another: each has a connection to itself.
    return InvalidationScope.runNew((keep) =>
      this.begin(async (transaction) => {
        const result = await work(transaction);
        // If the answer to COMMIT is lost, nobody knows: then it is told.
        keep();
        return result;
      }),
    );
  }

  protected abstract begin<T>(
    work: (transaction: Queries) => Promise<T>,
  ): Promise<T>;

  /** Several statements without parameters, as one transaction. */
  abstract run(sql: string): Promise<void>;

  abstract close(): Promise<void>;
}
