import { ENTITY_TYPES } from '../database.mjs';
import { PostgresRows } from '../postgres/rows.mjs';
import { until } from '../wait.mjs';
import { numberOf } from './positions.mjs';

/**
 * Rows in PostgreSQL, with the position in the log before each commit: a row is in one
 * transaction at a time, so these tell of which commit a message speaks.
 */
export class ReplicaRows extends PostgresRows {
  /** Runs a transaction of an application's decorated method, see `play()` of `Psql`. */
  play = null;
  /** Types that psql writes. */
  types = ENTITY_TYPES;

  take(fits = () => true) {
    return super.take((row) => this.types.includes(row.type) && fits(row));
  }

  /** Changes rows for a decorated method, in one transaction. */
  write(keys) {
    return this.play(async (tx) => {
      const rows = await tx.takeThese(keys);
      if (rows.length > 1) await tx.begin();
      for (const row of rows) {
        if (!this.isThere(row)) await tx.insert(row);
        else if (tx.random() < 0.2) await tx.delete(row);
        else await tx.update(row);
      }
      await tx.commit();
    });
  }

  /** Takes these rows, once no transaction has one of them. */
  async takeThese(keys) {
    const rows = [...new Set(keys)].map((key) => this.byKey(key));
    await until('rows of a decorated method', () =>
      rows.every(({ isTaken }) => !isTaken),
    );
    for (const row of rows) row.isTaken = true;
    return rows;
  }

  async positionBefore(client) {
    const { rows } = await client.query(
      'select pg_current_wal_insert_lsn() as position',
    );
    return numberOf(rows[0].position);
  }

  /**
   * Whether a copy is older than what a message of the row spoke of.
   *
   * @param position of the latest commit that messages spoke of; 0 for none
   * @param time of the latest message without a position; 0 for none
   */
  isOlder(index, version, { position, time }) {
    const { commits } = this.row(index);
    const has = commits.findLastIndex((commit) => commit.version === version);
    // A version that is not known is newer: its commit was not answered yet.
    if (has === -1) return false;
    const needs = commits.findLastIndex(
      (commit) => commit.before <= position || commit.clock < time,
    );
    return has < needs;
  }
}
