import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { PostgresSource } from 'nestjs-cache-invalidation/postgres';
import { readFile } from 'node:fs/promises';
import { Database } from '../shared/database.js';
import { UsersSource } from './users.source.js';

/** Changes by plain SQL, as user-service hears them. */
export interface HeardSql {
  /** `logical replication`, or `triggers` and why. */
  readonly by: string;
  /** Whether changes are heard from now on. */
  readonly hears: boolean;
  /** Why it hears nothing; `null` if it does. */
  readonly fault: string | null;
  /** Changed rows of users that it has heard of. */
  readonly rows: number;
}

/** Plain SQL: what was heard of it, and a script of it. */
@Controller('sql')
export class SourceController {
  constructor(
    private readonly database: Database,
    private readonly users: UsersSource,
    private readonly source: PostgresSource,
  ) {}

  @Get()
  heard(): HeardSql {
    const { state, fault, rows } = this.source.status();
    return {
      by: this.users.by,
      hears: state === 'holder',
      fault: fault?.message ?? null,
      rows,
    };
  }

  /** Does what `psql -f capitals.sql` does, which cannot reach an embedded PGlite. */
  @Post('capitals')
  @HttpCode(204)
  async capitals(): Promise<void> {
    const script = new URL('capitals.sql', import.meta.url);
    await this.database.runApart(await readFile(script, 'utf8'));
  }
}
