import { randomUUID } from 'node:crypto';
import { ABSENT } from './tables.mjs';

/** A statement did not change the row that it should. */
export class UnexpectedRowError extends Error {}

/** One transaction of psql, and what it has changed. */
export class Transaction {
  rows;
  random;
  #client;
  #taken = [];
  #changes = new Map();
  #hasBegun = false;
  /** Name of the prepared transaction; empty if it was not prepared. */
  #prepared = '';
  /** Position in the log before the commit, see `PostgresRows`. */
  #before = Infinity;

  constructor(client, rows, random) {
    this.#client = client;
    this.rows = rows;
    this.random = random;
  }

  /** Whether it has rows that it has not given back. */
  get hasRows() {
    return this.#taken.length > 0;
  }

  /** @returns null if there is none, see `PostgresRows.take()` */
  take(fits) {
    const row = this.rows.take(fits);
    if (row !== null) this.#taken.push(row);
    return row;
  }

  takeSome(count, fits) {
    const rows = this.rows.takeSome(count, fits);
    this.#taken.push(...rows);
    return rows;
  }

  async takeAll(type) {
    const rows = await this.rows.takeAll(type);
    this.#taken.push(...rows);
    return rows;
  }

  /** @param keys of rows */
  async takeThese(keys) {
    const rows = await this.rows.takeThese(keys);
    this.#taken.push(...rows);
    return rows;
  }

  query(text, values) {
    return this.#client.query(text, values);
  }

  async begin() {
    await this.query('begin');
    this.#hasBegun = true;
  }

  async insert(row) {
    const version = this.rows.nextVersion();
    await this.#change(`insert into ${row.table} values ($1, $2)`, [
      row.id,
      version,
    ]);
    this.#changes.set(row, version);
  }

  async update(row) {
    const version = this.rows.nextVersion();
    await this.#change(`update ${row.table} set version = $2 where id = $1`, [
      row.id,
      version,
    ]);
    this.#changes.set(row, version);
  }

  async delete(row) {
    await this.#change(`delete from ${row.table} where id = $1`, [row.id]);
    this.#changes.set(row, ABSENT);
  }

  /** Changes the primary key. */
  async move(from, to) {
    const version = this.rows.nextVersion();
    await this.#change(
      `update ${from.table} set id = $2, version = $3 where id = $1`,
      [from.id, to.id, version],
    );
    this.#changes.set(from, ABSENT);
    this.#changes.set(to, version);
  }

  /** Updates rows of one table by one statement. */
  async updateAll(rows) {
    const version = this.rows.nextVersion();
    if (!this.#hasBegun) await this.#note();
    const ids = rows.map(({ id }) => id);
    await this.query(
      `update ${rows[0].table} set version = $2 where id = any ($1)`,
      [ids, version],
    );
    for (const row of rows) this.#changes.set(row, version);
  }

  /** @param rows all of the table */
  async truncate(rows) {
    await this.query(`truncate ${rows[0].table}`);
    for (const row of rows) this.#changes.set(row, ABSENT);
  }

  /** @param name of the savepoint @returns what is undone by `rollbackTo()` */
  async savepoint(name) {
    await this.query(`savepoint ${name}`);
    return { name, changes: new Map(this.#changes) };
  }

  async rollbackTo({ name, changes }) {
    await this.query(`rollback to savepoint ${name}`);
    this.#changes = changes;
  }

  async commit() {
    if (this.#hasBegun) {
      await this.#note();
      await this.query('commit');
    }
    this.#committed();
  }

  async rollback() {
    await this.query('rollback');
    this.#hasBegun = false;
    this.#giveBack();
  }

  async prepare() {
    this.#prepared = randomUUID();
    await this.query(`prepare transaction '${this.#prepared}'`);
  }

  async commitPrepared() {
    await this.#note();
    await this.query(`commit prepared '${this.#prepared}'`);
    this.#committed();
  }

  async rollbackPrepared() {
    await this.query(`rollback prepared '${this.#prepared}'`);
    this.#giveBack();
  }

  /**
   * Ends a transaction that has failed, and finds out what became of it.
   *
   * @param client a new one, if the connection was lost
   */
  async recover(client) {
    this.#client = client;
    if (this.#taken.length === 0) return;
    await this.query('rollback');
    if (this.#prepared !== '') {
      const { rowCount } = await this.query(
        'select 1 from pg_prepared_xacts where gid = $1',
        [this.#prepared],
      );
      if (rowCount > 0) await this.query(`commit prepared '${this.#prepared}'`);
    }
    await this.rows.refresh(client, this.#taken);
    this.#giveBack();
  }

  #committed() {
    this.rows.committed(this.#changes, this.#before);
    this.#giveBack();
  }

  #giveBack() {
    this.rows.giveBack(this.#taken.splice(0));
  }

  async #note() {
    this.#before = await this.rows.positionBefore(this.#client);
  }

  async #change(text, values) {
    if (!this.#hasBegun) await this.#note();
    const { rowCount } = await this.query(text, values);
    if (rowCount !== 1) throw new UnexpectedRowError(text);
  }
}
