import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 20;
/** For the shared tier to answer every read; a timeout keeps it from being asked. */
const ANSWERED_MS = 15_000;
const REST_MS = 1_100;
/**
 * How long an invalidation may be under way while an entry that it makes stale
 * is not held against anybody. The last check grants nothing.
 */
export const GRACE_MS = 100;

/** Compares every cached entry of every instance with the database. */
export class Checker {
  /** The most stale entries ever seen at a time: what the fault did. */
  peak = 0;
  #database;
  /** Application -> when it was last seen with a stale entry. */
  #staleAt = new Map();
  #stopped = false;
  #watches = [];

  constructor(database) {
    this.#database = database;
  }

  /** Looks again and again, until `stop()`. */
  watch(application) {
    // A process that is gone answers no more; whether it should be is its own
    // record's business.
    this.#watches.push(this.#watch(application).catch(() => {}));
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.#watches);
  }

  /** Milliseconds from a moment until the application was seen stale last. */
  coherentAfter(application, moment) {
    return Math.max(0, (this.#staleAt.get(application) ?? 0) - moment);
  }

  /**
   * @param before only changes before this moment count
   * @returns the entries that are older than their rows, and how many there are
   */
  async check(application, before = Infinity) {
    const versions = await application.versions();
    return this.#compare(application, versions, { tier: 'memory', before });
  }

  /**
   * The same of what an instance would serve from Redis. It must have been asked
   * for each row, and have answered.
   *
   * @param failures of the shared tier that are known, and long enough ago
   * @returns also `answered`: whether it did
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
      const checked = this.#compare(application, versions, { tier: 'Redis' });
      return { ...checked, answered, name: application.name };
    }
  }

  #compare(application, versions, { tier, before = Infinity }) {
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
      await sleep(EVERY_MS);
    }
  }
}
