import type { PGlite } from '@electric-sql/pglite';
import { setFlagsFromString } from 'node:v8';
import { Database } from './database.js';

/** PostgreSQL as WebAssembly, in memory: nothing to install, gone at exit. */
export class PgliteDatabase extends Database {
  private constructor(private readonly db: PGlite) {
    super();
  }

  static async open(): Promise<PgliteDatabase> {
    // Creating the cluster is most of its work here, and runs once: optimising
    // that code takes longer than it saves (6.7 s of CPU instead of 4.1 s).
    setFlagsFromString('--liftoff-only');
    // 10 MB of WebAssembly: only for who needs it.
    const { PGlite } = await import('@electric-sql/pglite');
    return new PgliteDatabase(await PGlite.create());
  }

  override async query<Row>(
    sql: string,
    parameters: unknown[] = [],
  ): Promise<Row[]> {
    const { rows } = await this.db.query<Row>(sql, parameters);
    return rows;
  }

  override async run(sql: string): Promise<void> {
    await this.db.exec(sql);
  }

  override close(): Promise<void> {
    return this.db.close();
  }
}
