import { parseCacheKey } from 'nestjs-cache-invalidation/wire';
import { until } from '../wait.mjs';
import { ABSENT, TABLES } from './tables.mjs';

/** Half of all rows that are written are among so many. */
const HOT = 200;
const TRIES = 2_000;

/**
 * Knowledge of the rows in PostgreSQL: what was committed, in its order, since nobody
 * else writes them and a row is in one transaction at a time.
 */
export class PostgresRows {
  keys;
  /** Number of transactions that changed rows. */
  writes = 0;
  /** There is no outbox of the applications. */
  outboxSize = 0;
  #rows;
  #byName = new Map();
  /** Types of which no row is to be taken at the moment. */
  #closed = new Set();
  #random;
  #version = 1;
  /** The rows that PostgreSQL has in the end; `null` before. */
  #truth = null;

  constructor(keys, random) {
    this.keys = keys;
    this.#random = random;
    this.#rows = keys.map((key, index) => {
      const { entityType: type, entityId } = parseCacheKey(key);
      const row = { index, type, id: Number(entityId), isTaken: false };
      const commits = [firstOf(ABSENT)];
      return Object.assign(row, { table: TABLES[type], commits });
    });
    for (const row of this.#rows) this.#byName.set(nameOf(row), row);
  }

  /** A version that no row has had. */
  nextVersion() {
    return ++this.#version;
  }

  /** Inserts the rows that a run begins with. @param has `row => boolean` */
  async insert(server, has) {
    for (const [type, table] of Object.entries(TABLES)) {
      const rows = this.#rows.filter((row) => row.type === type && has(row));
      const ids = rows.map(({ id }) => id);
      await server.sql(`insert into ${table} select unnest($1::int[]), 1`, [
        ids,
      ]);
      for (const row of rows) row.commits = [firstOf(1)];
    }
  }

  /**
   * Chooses a row for a transaction, which gives it back.
   *
   * @param fits `row => boolean`
   * @returns null if no row was found
   */
  take(fits = () => true) {
    for (let i = 0; i < TRIES; i++) {
      const isHot = this.#random() < 0.5;
      const count = isHot ? HOT : this.#rows.length;
      const place = Math.floor(this.#random() * count);
      // Hot rows are of all types.
      const row = this.#rows[isHot ? place * (this.#rows.length / HOT) : place];
      if (row.isTaken || this.#closed.has(row.type) || !fits(row)) continue;
      row.isTaken = true;
      return row;
    }
    return null;
  }

  /** Like `take()`, for up to that many rows. */
  takeSome(count, fits) {
    const taken = [];
    while (taken.length < count) {
      const row = this.take(fits);
      if (row === null) break;
      taken.push(row);
    }
    return taken;
  }

  /** @param rows see `take()` */
  giveBack(rows) {
    for (const row of rows) row.isTaken = false;
  }

  isThere(row) {
    return row.commits.at(-1).version !== ABSENT;
  }

  /**
   * @param changes row -> version, of one transaction
   * @param before see `positionBefore()`
   */
  committed(changes, before) {
    if (changes.size > 0) this.writes++;
    for (const [row, version] of changes) {
      row.commits.push(commitOf(version, before));
    }
  }

  /** Position in the log before a commit; infinite if it does not matter. */
  async positionBefore() {
    return Infinity;
  }

  /** Takes all rows of a type, once no transaction has one of them. */
  async takeAll(type) {
    this.#closed.add(type);
    const rows = this.#rows.filter((row) => row.type === type);
    const areFree = () => rows.every(({ isTaken }) => !isTaken);
    await until(`the rows of ${type}`, areFree);
    for (const row of rows) row.isTaken = true;
    this.#closed.delete(type);
    return rows;
  }

  /**
   * Reads rows again, whose last transaction may have committed or not.
   *
   * @param client connected to the primary
   * @returns how many of them were not as they are known
   */
  async refresh(client, rows) {
    let corrected = 0;
    for (const [type, table] of Object.entries(TABLES)) {
      const some = rows.filter((row) => row.type === type);
      if (some.length === 0) continue;
      const found = await client.query(
        `select id, version from ${table} where id = any($1)`,
        [some.map(({ id }) => id)],
      );
      const versions = new Map(found.rows.map((row) => [row.id, row.version]));
      for (const row of some) {
        const version = versions.get(row.id) ?? ABSENT;
        if (version === row.commits.at(-1).version) continue;
        row.commits.push(commitOf(version));
        corrected++;
      }
    }
    return corrected;
  }

  /**
   * Reads all rows again that are in no transaction: a crash or a failover may have taken
   * commits back.
   */
  async refreshAll(client) {
    const rows = this.#rows.filter(({ isTaken }) => !isTaken);
    for (const row of rows) row.isTaken = true;
    try {
      return await this.refresh(client, rows);
    } finally {
      this.giveBack(rows);
    }
  }

  /** Reads what is true in the end: nobody writes any more. */
  async rest(server) {
    const truth = new Int32Array(this.keys.length).fill(ABSENT);
    for (const [type, table] of Object.entries(TABLES)) {
      for (const { id, version } of await server.sql(
        `select id, version from ${table}`,
      )) {
        const row = this.#byName.get(nameOf({ type, id }));
        if (row !== undefined) truth[row.index] = version;
      }
    }
    this.#truth = truth;
  }

  byKey(key) {
    const { entityType: type, entityId } = parseCacheKey(key);
    return this.#byName.get(nameOf({ type, id: Number(entityId) }));
  }

  row(index) {
    return this.#rows[index];
  }

  version(index) {
    return this.#truth?.[index] ?? this.#rows[index].commits.at(-1).version;
  }

  /**
   * @param version of a copy
   * @returns `{ at, by }` of the change after it, or undefined if it is current
   */
  supersededBy(index, version) {
    const { commits } = this.#rows[index];
    if (this.#truth !== null) {
      if (this.#truth[index] === version) return undefined;
      return { at: commits.at(-1).at, by: 'psql' };
    }
    const place = commits.findLastIndex((commit) => commit.version === version);
    // A version that is not known is newer: its commit was not answered yet.
    const next = place === -1 ? undefined : commits[place + 1];
    return next && { at: next.at, by: 'psql' };
  }
}

/** The version that a run begins with. */
function firstOf(version) {
  return { version, at: -Infinity, clock: -Infinity, before: -Infinity };
}

/** @param before position in the log before the commit; infinite if it is not known */
function commitOf(version, before = Infinity) {
  return { version, at: performance.now(), clock: Date.now(), before };
}

function nameOf({ type, id }) {
  return `${type} ${id}`;
}
