import { affects, keysOf } from 'nestjs-cache-invalidation';

/**
 * What an application keeps of the rows. A load that an invalidation overtook is
 * not stored: that race is the cache's own, and would hide those of the delivery.
 */
export class RowCache {
  #read;
  #versions = new Map();
  /** For each load under way the keys that nothing has affected since it began. */
  #loads = new Set();

  /** @param read `keys => versions`, from the database */
  constructor(read) {
    this.#read = read;
  }

  /** Reads rows, as requests would: what is not here is loaded and kept. */
  async warm(keys) {
    const missing = keys.filter((key) => !this.#versions.has(key));
    if (missing.length === 0) return;
    const load = new Set(missing);
    this.#loads.add(load);
    try {
      const versions = await this.#read(missing);
      for (const [index, key] of missing.entries()) {
        if (load.has(key)) this.#versions.set(key, versions[index]);
      }
    } finally {
      this.#loads.delete(load);
    }
  }

  evict(message) {
    for (const kept of [this.#versions, ...this.#loads]) {
      const keys = keysOf(message) ?? [...kept.keys()];
      for (const key of keys) {
        if (affects(message, key)) kept.delete(key);
      }
    }
  }

  /** The versions in the order of `keys`; 0 for what is not here. */
  versions(keys) {
    return Int32Array.from(keys, (key) => this.#versions.get(key) ?? 0);
  }
}
