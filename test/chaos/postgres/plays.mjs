/**
 * Kinds of transactions. Each is a function of a `Transaction`; it does nothing when
 * there is no row for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ENTITY_TYPES } from '../database.mjs';

/** Rows of a large transaction: fewer than the option `bulk`. */
const LARGE = 600;
const SEVERAL = 5;
/** Longest time for which a prepared transaction waits. */
const PREPARED_MS = 30;

const there = (tx) => (row) => tx.rows.isThere(row);
const absent = (tx) => (row) => !tx.rows.isThere(row);

export const plays = {
  async insert(tx) {
    const row = tx.take(absent(tx));
    if (row === null) return;
    await tx.insert(row);
    await tx.commit();
  },

  async update(tx) {
    const row = tx.take(there(tx));
    if (row === null) return;
    await tx.update(row);
    await tx.commit();
  },

  async delete(tx) {
    const row = tx.take(there(tx));
    if (row === null) return;
    await tx.delete(row);
    await tx.commit();
  },

  async move(tx) {
    const from = tx.take(there(tx));
    const to = tx.take((row) => {
      return row.type === from?.type && !tx.rows.isThere(row);
    });
    if (from === null || to === null) return;
    await tx.move(from, to);
    await tx.commit();
  },

  /** Several rows of several tables. */
  async several(tx) {
    await tx.begin();
    for (const row of tx.takeSome(SEVERAL)) await change(tx, row);
    await tx.commit();
  },

  async large(tx) {
    const type = ENTITY_TYPES[Math.floor(tx.random() * ENTITY_TYPES.length)];
    const rows = tx.takeSome(LARGE, (row) => {
      return row.type === type && tx.rows.isThere(row);
    });
    if (rows.length === 0) return;
    await tx.updateAll(rows);
    await tx.commit();
  },

  async rollback(tx) {
    await tx.begin();
    for (const row of tx.takeSome(SEVERAL)) await change(tx, row);
    await tx.rollback();
  },

  /** Parts of it are rolled back, parts released. */
  async savepoints(tx) {
    const [kept, undone, again, inner] = tx.takeSome(4);
    if (inner === undefined) return;
    await tx.begin();
    await change(tx, kept);
    const first = await tx.savepoint('first');
    await change(tx, undone);
    await change(tx, again);
    await tx.rollbackTo(first);
    await change(tx, again);
    await tx.savepoint('second');
    await change(tx, inner);
    await tx.query('release savepoint second');
    if (tx.random() < 0.2) await tx.rollback();
    else await tx.commit();
  },

  async prepared(tx) {
    await tx.begin();
    for (const row of tx.takeSome(SEVERAL)) await change(tx, row);
    await tx.prepare();
    await sleep(tx.random() * PREPARED_MS);
    if (tx.random() < 0.2) await tx.rollbackPrepared();
    else await tx.commitPrepared();
  },
};

/** Plays by their weights: most of a usual application's. */
export const MIX = weighted({
  update: 50,
  insert: 12,
  delete: 12,
  move: 6,
  several: 12,
  rollback: 4,
  savepoints: 4,
});

/** @returns `random => play` */
export function weighted(weights) {
  const all = Object.entries(weights).flatMap(([name, weight]) =>
    Array.from({ length: weight }, () => plays[name]),
  );
  return (random) => all[Math.floor(random() * all.length)];
}

/** Updates, deletes or inserts a row. */
export async function change(tx, row) {
  if (!tx.rows.isThere(row)) await tx.insert(row);
  else if (tx.random() < 0.2) await tx.delete(row);
  else await tx.update(row);
}
