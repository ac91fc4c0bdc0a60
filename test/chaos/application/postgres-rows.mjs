import { setTimeout as sleep } from 'node:timers/promises';
import { postgresReplica } from 'nestjs-cache-invalidation/postgres';
import { parseCacheKey } from 'nestjs-cache-invalidation/wire';
import pg from 'pg';
import { ABSENT, TABLES } from '../postgres/tables.mjs';

const CONNECTIONS = 4;
const ANSWERED_WITHIN_MS = 2_000;
const RETRY_MS = 50;

const SELECT = Object.entries(TABLES)
  .map(
    ([type, table], index) =>
      `select '${type}' as type, id, version from ${table} where id = any ($${index + 1})`,
  )
  .join(' union all ');

/** Loads rows from PostgreSQL, however long it takes: a load that fails is tried again. */
export class PostgresLoads {
  /** The standby that loads read; `null` if they read the primary. */
  replica = null;
  /** Reads the primary as `read()` the standby; `null` if near caches are to do without. */
  readPrimary = null;
  #pool;
  #primary = null;
  #isClosed = false;

  /**
   * @param replica `{ primary, loadsPrimary }`, if the address leads to a standby
   * @param address options of a client
   */
  constructor({ replica, ...address }) {
    this.#pool = poolOf(address);
    if (replica === undefined) return;
    this.#primary = poolOf(replica.primary);
    this.replica = postgresReplica(this.#pool, { primary: this.#primary });
    if (!replica.loadsPrimary) return;
    this.readPrimary = (keys) => this.#read(this.#primary, keys);
  }

  /** @returns versions, in the order of `keys` */
  read(keys) {
    return this.#read(this.#pool, keys);
  }

  async #read(pool, keys) {
    const rows = keys.map((key) => parseCacheKey(key));
    const ids = Object.keys(TABLES).map((type) =>
      rows.filter((row) => row.entityType === type).map((row) => row.entityId),
    );
    const found = await this.#query(pool, ids);
    const versions = new Map(
      found.map(({ type, id, version }) => [`${type} ${id}`, version]),
    );
    return Int32Array.from(
      rows,
      ({ entityType, entityId }) =>
        versions.get(`${entityType} ${entityId}`) ?? ABSENT,
    );
  }

  async close() {
    this.#isClosed = true;
    await Promise.all([this.#pool.end(), this.#primary?.end()]);
  }

  async #query(pool, ids) {
    for (;;) {
      try {
        return (await pool.query(SELECT, ids)).rows;
      } catch (error) {
        if (this.#isClosed) throw error;
        await sleep(RETRY_MS);
      }
    }
  }
}

function poolOf(address) {
  const pool = new pg.Pool({
    ...address,
    max: CONNECTIONS,
    connectionTimeoutMillis: ANSWERED_WITHIN_MS,
    query_timeout: ANSWERED_WITHIN_MS,
  });
  pool.on('error', () => {});
  return pool;
}
