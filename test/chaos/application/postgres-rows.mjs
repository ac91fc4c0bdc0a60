import { setTimeout as sleep } from 'node:timers/promises';
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
  #pool;
  #isClosed = false;

  /** @param address options of a client */
  constructor(address) {
    this.#pool = new pg.Pool({
      ...address,
      max: CONNECTIONS,
      connectionTimeoutMillis: ANSWERED_WITHIN_MS,
      query_timeout: ANSWERED_WITHIN_MS,
    });
    this.#pool.on('error', () => {});
  }

  /** @returns versions, in the order of `keys` */
  async read(keys) {
    const rows = keys.map((key) => parseCacheKey(key));
    const ids = Object.keys(TABLES).map((type) =>
      rows.filter((row) => row.entityType === type).map((row) => row.entityId),
    );
    const found = await this.#query(ids);
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
    await this.#pool.end();
  }

  async #query(ids) {
    for (;;) {
      try {
        return (await this.#pool.query(SELECT, ids)).rows;
      } catch (error) {
        if (this.#isClosed) throw error;
        await sleep(RETRY_MS);
      }
    }
  }
}
