import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { until } from '../wait.mjs';
import { Transaction, UnexpectedRowError } from './transaction.mjs';

const SESSIONS = 24;
const CONNECTED_WITHIN_MS = 30_000;
/** A session that waits so long for an answer is a fault of this program. */
const ANSWERED_WITHIN_MS = 20_000;
const RETRY_MS = 20;
/** SQL states of a server that goes down, starts, or is still a standby. */
const AWAY = /^(57P0|08|25006|53300)/;

/**
 * The only writer: sessions of a client that knows nothing of the library, in a process
 * that is none of the applications'.
 */
export class Psql {
  /** Errors that no fault explains. */
  problems = [];
  /** SQL states that the fault explains; here of rows that are not as they were. */
  expected = /^(23505)?$/;
  #address;
  #rows;
  #random;
  #chooses;
  #perSecond;
  #setups;
  #sessions;
  /** Number of connections so far. */
  #connections = 0;
  #running = [];
  /** Sessions of `play()` between two transactions. */
  #idle = [];
  #isWriting = false;

  /**
   * @param address options of a client
   * @param chooses `random => play`
   * @param perSecond transactions, of all sessions
   * @param setups SQL that sessions begin with, one after the other
   * @param sessions number of them
   */
  constructor({
    address,
    rows,
    random,
    chooses,
    perSecond,
    setups = [''],
    sessions = SESSIONS,
  }) {
    this.#address = address;
    this.#rows = rows;
    this.#random = random;
    this.#chooses = chooses;
    this.#perSecond = perSecond;
    this.#setups = setups;
    this.#sessions = sessions;
  }

  async startWriting() {
    this.#isWriting = true;
    this.#running = Array.from({ length: this.#sessions }, () =>
      this.#session(),
    );
    // A run that has failed does not wait for them.
    for (const session of this.#running) session.catch(() => {});
  }

  /** Resolves once no transaction is under way. */
  async stopWriting() {
    this.#isWriting = false;
    await Promise.all(this.#running.splice(0));
    for (const client of this.#idle.splice(0)) {
      void client.end().catch(() => {});
    }
  }

  /** Runs one transaction on a session that no other one has at the time. */
  async play(play) {
    const client = this.#idle.pop() ?? (await this.#connect());
    this.#idle.push(await this.#transact(client, play));
  }

  async #session() {
    const pause = (1_000 * this.#sessions) / this.#perSecond;
    let client = await this.#connect();
    while (this.#isWriting) {
      const began = performance.now();
      client = await this.#transact(client, this.#chooses(this.#random));
      const rest = pause - (performance.now() - began);
      if (rest > 0) await sleep(rest * 2 * this.#random());
    }
    void client.end().catch(() => {});
  }

  /** @returns the client, or a new one after an error */
  async #transact(client, play) {
    const transaction = new Transaction(client, this.#rows, this.#random);
    try {
      await play(transaction);
      if (transaction.hasRows) await transaction.recover(client);
      return client;
    } catch (error) {
      this.#judge(error);
      void client.end().catch(() => {});
      return this.#recover(transaction);
    }
  }

  /** Finds out what became of a transaction, however long the server is away. */
  #recover(transaction) {
    return until(
      'psql to find out what became of a transaction',
      async () => {
        const client = await this.#connect();
        try {
          await transaction.recover(client);
          return client;
        } catch (error) {
          this.#judge(error);
          void client.end().catch(() => {});
          await sleep(RETRY_MS);
          return null;
        }
      },
      CONNECTED_WITHIN_MS,
    );
  }

  #judge(error) {
    const { code } = error;
    if (/timeout/.test(error.message))
      this.problems.push(`psql: ${error.stack}`);
    const isAway =
      typeof code !== 'string' || code.length !== 5 || AWAY.test(code);
    if (error instanceof UnexpectedRowError || !isAway) {
      if (this.expected.test(code ?? '')) return;
      this.problems.push(`psql: ${code} ${error.message}`);
    }
  }

  /** Connects, however long the server is away. */
  #connect() {
    return until(
      'psql to connect',
      async () => {
        const client = new pg.Client({
          ...this.#address,
          connectionTimeoutMillis: 2_000,
          query_timeout: ANSWERED_WITHIN_MS,
        });
        client.on('error', () => {});
        try {
          await client.connect();
          const place = this.#connections++ % this.#setups.length;
          await client.query(this.#setups[place]);
          return client;
        } catch {
          void client.end().catch(() => {});
          await sleep(RETRY_MS);
          return null;
        }
      },
      CONNECTED_WITHIN_MS,
    );
  }
}
