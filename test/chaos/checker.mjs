import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 20;
/**
 * Time for the shared tier to answer every read; after a timeout it is not
 * queried for a while.
 */
const ANSWERED_MS = 15_000;
const REST_MS = 1_100;
/**
 * Time that an invalidation may be under way before an entry that it makes
 * stale counts. The last check uses no such grace.
 */
export const GRACE_MS = 100;

/** Compares every cached entry of every instance with the database. */
export class Checker {
  /** Largest number of stale entries at one time: the effect of the fault. */
  peak = 0;
  #database;
  /** Time at which each application last had a stale entry. */
  #staleAt = new Map();
  #stopped = false;
  #watches = [];
  #every;

  /** @param every milliseconds from one check of an instance to the next */
  constructor(database, every = EVERY_MS) {
    this.#database = database;
    this.#every = every;
  }

  /** Checks repeatedly, until `stop()`. */
  watch(application) {
    // A process that has ended does not answer; its own record tells whether it
    // should have ended.
    this.#watches.push(this.#watch(application).catch(() => {}));
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.#watches);
  }

  /** Milliseconds from a moment until the application last had a stale entry. */
  coherentAfter(application, moment) {
    return Math.max(0, (this.#staleAt.get(application) ?? 0) - moment);
  }

  /**
   * @param before only changes before this moment count
   * @returns the entries that are older than their rows, and how many there are
   */
  async check(application, before = Infinity) {
    const versions = await application.versions();
    return this.compare(application, versions, { before });
  }

  /**
   * Checks the entries that an instance would serve from Redis. The shared tier
   * must have been queried for each row, and have answered.
   *
   * @param failures known failures of the shared tier that are long enough ago
   * @returns also `answered`: whether the shared tier answered
   */
  async checkShared(application, failures) {
    const deadline = performance.now() + ANSWERED_MS;
    for (let before = failures; ; await sleep(REST_MS)) {
      const { versions, failures: after } = await application.shared();
      const answered = after === before;
      if (!answered && performance.now() < deadline) {
        before = after;
        continue;
      }
      const checked = this.compare(application, versions, { tier: 'Redis' });
      return { ...checked, answered, name: application.name };
    }
  }

  compare(application, versions, { tier = 'memory', before = Infinity } = {}) {
    const stale = [];
    let cached = 0;
    for (const [index, version] of versions.entries()) {
      if (version === 0) continue;
      cached++;
      const change = this.#database.supersededBy(index, version);
      if (change !== undefined && change.at < before) {
        stale.push({
          instance: application.name,
          tier,
          key: this.#database.keys[index],
          cached: version,
          version: this.#database.version(index),
          ...change,
        });
      }
    }
    return { stale, cached };
  }

  async #watch(application) {
    while (!this.#stopped && application.running) {
      const asked = performance.now();
      const { stale } = await this.check(application, asked - GRACE_MS);
      this.peak = Math.max(this.peak, stale.length);
      if (stale.length > 0) this.#staleAt.set(application, asked);
      await sleep(this.#every);
    }
  }
}
