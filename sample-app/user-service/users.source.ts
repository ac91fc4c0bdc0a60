import { Injectable } from '@nestjs/common';
import {
  dropTriggerSql,
  triggerSql,
  type CacheInvalidationPostgresOptions,
  type CacheInvalidationPostgresOptionsFactory,
  type TableMappings,
} from 'nestjs-cache-invalidation/postgres';
import { Database } from '../shared/database.js';

const TABLES: TableMappings = { 'public.sample_users': 'User' };
const OUTBOX = 'public.sample_users_changes';

/** The replication slot and the publication. */
export const SLOT = 'sample_app';

interface Rights {
  readonly level: string;
  readonly isAllowed: boolean;
}

/**
 * How changes of users are seen that pass no decorator: by logical replication, or by
 * triggers where that is not possible.
 */
@Injectable()
export class UsersSource implements CacheInvalidationPostgresOptionsFactory {
  /** For people. */
  by = 'nothing yet';

  constructor(private readonly database: Database) {}

  /** Makes the triggers, or removes those of an earlier start. */
  async createCacheInvalidationPostgresOptions(): Promise<CacheInvalidationPostgresOptions> {
    const obstacle = await this.#obstacle();
    this.by =
      obstacle === null ? 'logical replication' : `triggers (${obstacle})`;
    await this.database.run(
      obstacle === null
        ? dropTriggerSql({ outbox: OUTBOX })
        : triggerSql(TABLES, { outbox: OUTBOX }),
    );
    return {
      ...this.database.connection,
      mode: obstacle === null ? 'wal' : 'triggers',
      tables: TABLES,
      slot: SLOT,
      publication: SLOT,
      outbox: OUTBOX,
    };
  }

  /** Why there is no logical replication; `null` if there is. */
  async #obstacle(): Promise<string | null> {
    if ('database' in this.database.connection) return 'PGlite has no slots';
    const [rights] = await this.database.query<Rights>(
      `SELECT current_setting('wal_level') AS level,
         (rolsuper OR rolreplication)
           AND has_database_privilege(current_database(), 'CREATE') AS "isAllowed"
       FROM pg_roles WHERE rolname = current_user`,
    );
    const { level, isAllowed } = rights!;
    if (level !== 'logical') return `wal_level is ${level}`;
    return isAllowed ? null : 'the role may not replicate and publish';
  }
}
