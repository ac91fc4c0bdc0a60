import { buildCacheKey } from 'nestjs-cache-invalidation';

/** Entity types known to the library, and one of the writers' own. */
export const ENTITY_TYPES = ['User', 'Post', 'Comment', 'session'];

/** Keys of all rows, in the order of their numbers in all processes. */
export function rowKeys(rowsPerType) {
  return ENTITY_TYPES.flatMap((type) =>
    Array.from({ length: rowsPerType }, (_, id) =>
      buildCacheKey(type, String(id)),
    ),
  );
}

/**
 * The true rows: a version for each, and a table for a durable outbox. The
 * database is outside of the applications, and every operation is atomic.
 */
export class Database {
  keys;
  #indexes;
  #versions;
  /** Changes of each row; the first one made version 2. */
  #commits;
  #outbox = new Map();
  /** Number of transactions that changed rows: each is one invalidation. */
  writes = 0;

  constructor(keys) {
    this.keys = keys;
    this.#indexes = new Map(keys.map((key, index) => [key, index]));
    this.#versions = new Int32Array(keys.length).fill(1);
    this.#commits = keys.map(() => []);
  }

  read(keys) {
    return Int32Array.from(
      keys,
      (key) => this.#versions[this.#indexes.get(key)],
    );
  }

  /**
   * @param by name of the writer
   * @param stored `{ messageId, text }` for the outbox, in the same transaction
   */
  write(keys, by, stored = null) {
    this.writes++;
    const at = performance.now();
    for (const key of keys) {
      const index = this.#indexes.get(key);
      this.#versions[index]++;
      this.#commits[index].push({ at, by });
    }
    if (stored !== null) {
      this.#outbox.set(stored.messageId, { text: stored.text, at });
    }
  }

  get outboxSize() {
    return this.#outbox.size;
  }

  outboxPending({ limit, olderThan }) {
    const before = performance.now() - olderThan;
    return [...this.#outbox.values()]
      .filter(({ at }) => at <= before)
      .slice(0, limit)
      .map(({ text }) => text);
  }

  outboxRemove(messageIds) {
    for (const messageId of messageIds) this.#outbox.delete(messageId);
  }

  version(index) {
    return this.#versions[index];
  }

  /**
   * @param version a version of that row
   * @returns `{ at, by }` of the change after it, or undefined if it is current
   */
  supersededBy(index, version) {
    return this.#commits[index][version - 1];
  }
}
