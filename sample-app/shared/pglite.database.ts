import type { PGlite } from '@electric-sql/pglite';
import { setFlagsFromString } from 'node:v8';
import { Database, type Queries } from './database.js';

/** PostgreSQL as WebAssembly, in memory: nothing to install, gone at exit. */
export class PgliteDatabase extends Database {
  readonly connection;

  private constructor(private readonly db: PGlite) {
    super();
    this.connection = { database: db };
  }

  static async open(): Promise<PgliteDatabase> {
    // Most of the start-up work is creating the cluster, which runs once:
    // optimising that code takes longer than it saves (6.7 s of CPU instead of
    // 4.1 s).
    setFlagsFromString('--liftoff-only');
    // 10 MB of WebAssembly: loaded only if it is needed.
    const { PGlite } = await import('@electric-sql/pglite');
    return new PgliteDatabase(await PGlite.create());
  }

  override query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]> {
    return queries(this.db).query<Row>(sql, parameters);
  }

  protected override begin<T>(
    work: (transaction: Queries) => Promise<T>,
  ): Promise<T> {
    return this.db.transaction((transaction) => work(queries(transaction)));
  }

  override async run(sql: string): Promise<void> {
    await this.db.exec(sql);
  }

  override runApart(script: string): Promise<void> {
    return this.run(script);
  }

  override close(): Promise<void> {
    return this.db.close();
  }
}

function queries(on: Pick<PGlite, 'query'>): Queries {
  return {
    async query<Row>(sql: string, parameters: unknown[] = []) {
      const { rows } = await on.query<Row>(sql, parameters);
      return rows;
    },
  };
}
