import { InvalidationScope } from 'nestjs-cache-invalidation';
import type { CacheInvalidationPostgresOptions } from 'nestjs-cache-invalidation/postgres';

/** Queries, inside a transaction or outside. */
export interface Queries {
  query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;
}

/**
 * The part of PostgreSQL that the services use: PGlite inside the process, or a
 * server, if `DATABASE_URL` names one.
 */
export abstract class Database implements Queries {
  /** The way to it for `CacheInvalidationPostgresModule`. */
  abstract readonly connection: Pick<
    CacheInvalidationPostgresOptions,
    'connection' | 'database'
  >;

  abstract query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;

  /**
   * Commits when `work` resolves, and rolls back when it rejects. Invalidations of
   * `work` are published after the commit, or never.
   */
  transaction<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    // Its own scope, even inside another one: each transaction has its own connection.
    return InvalidationScope.runNew((keep) =>
      this.begin(async (transaction) => {
        const result = await work(transaction);
        // If the answer to COMMIT is lost, it may have taken place: publish.
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

  /** Runs a script as psql does: by a connection of its own, if the database has several. */
  abstract runApart(script: string): Promise<void>;

  abstract close(): Promise<void>;
}
