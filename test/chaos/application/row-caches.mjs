import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { buildCacheKey } from 'nestjs-cache-invalidation';
import { parseCacheKey } from 'nestjs-cache-invalidation/wire';
import { L2Tiers } from '../../../dist/lib/cache/shared/l2-tiers.js';
import { ENTITY_TYPES } from '../database.mjs';

/** Entries never expire during a run, so that only invalidations keep them right. */
const TTL_MS = 3_600_000;
/** Longest delay of an answer of the database, so that updates overtake loads. */
const SLOW_MS = 100;
/** Exponent of the delays: half of them are at most a sixteenth of the longest. */
const SLOWNESS = 4;
/** Reads of the shared tier at a time. */
const AT_ONCE = 200;

/**
 * Cached rows of an instance: a near cache of each type, in memory and in
 * Redis, where all instances share it.
 */
export class RowCaches {
  #caches;
  /** The second tiers by entity type, which the caches do not show. */
  #tiers = new Map();
  #source;
  #random;
  #read;
  /** Loads of what the replica may not have. */
  #primaryLoads = null;

  /**
   * @param read `keys => versions`, from the database
   * @param readPrimary the same from the primary, or `null`
   * @param replica that `read()` reads, or `null`
   * @param shared whether there is a second tier
   * @param max entries of each cache, by default 10,000
   */
  constructor(
    factory,
    { read, readPrimary = null, replica = null, random, shared, max },
  ) {
    const { create } = L2Tiers.prototype;
    const tiers = this.#tiers;
    L2Tiers.prototype.create = function (type, ...rest) {
      const tier = create.call(this, type, ...rest);
      tiers.set(type, tier);
      return tier;
    };
    this.#caches = new Map(
      ENTITY_TYPES.map((type) => [
        type,
        factory.create(type, {
          ttl: TTL_MS,
          max,
          l2: shared && { ttl: TTL_MS },
          ...(replica !== null && { replica }),
          ...(readPrimary !== null && {
            primary: (id) => this.#fromPrimary(buildCacheKey(type, id)),
          }),
        }),
      ]),
    );
    L2Tiers.prototype.create = create;
    this.#source = factory.source;
    this.#read = read;
    this.#random = random;
    if (readPrimary !== null) {
      this.#primaryLoads = new Loads((keys) => this.#load(keys, readPrimary));
    }
  }

  /**
   * Reads rows, as requests would: one after the other, or several at once.
   *
   * @returns milliseconds that the database took of it
   */
  async read(keys) {
    const loads = new Loads((missing) => this.#load(missing));
    const several = this.#random() < 0.5;
    const reads = several
      ? [...grouped(keys)].map(([type, ids]) => this.#many(type, ids, loads))
      : keys.map((key) => this.#one(key, loads));
    // All reads end before the page does, even if one fails.
    const failed = (await Promise.allSettled(reads)).find(
      ({ status }) => status === 'rejected',
    );
    if (failed !== undefined) throw failed.reason;
    return loads.took;
  }

  /** Versions in memory, in the order of `keys`; 0 for no entry. */
  versions(keys) {
    return Int32Array.from(keys, (key) => {
      const { entityType, entityId } = parseCacheKey(key);
      return this.#caches.get(entityType).peek(entityId)?.version ?? 0;
    });
  }

  /**
   * Versions that reads would get from Redis if there were no entry in memory;
   * 0 where a read would have to load.
   */
  async shared(keys) {
    const versions = new Int32Array(keys.length);
    for (let from = 0; from < keys.length; from += AT_ONCE) {
      const page = keys.slice(from, from + AT_ONCE);
      const found = await Promise.all(page.map((key) => this.#served(key)));
      versions.set(found, from);
    }
    return versions;
  }

  get stats() {
    const all = [...this.#caches.values()].map(({ stats }) => stats);
    return all.reduce((sum, stats) =>
      Object.fromEntries(
        Object.entries(sum).map(([name, count]) => [name, count + stats[name]]),
      ),
    );
  }

  #one(key, loads) {
    const { entityType, entityId } = parseCacheKey(key);
    return this.#caches
      .get(entityType)
      .get(entityId, async () => (await loads.add([key]))[0]);
  }

  #many(type, ids, loads) {
    return this.#caches.get(type).getMany([...ids.keys()], async (missing) => {
      const rows = await loads.add(missing.map((id) => ids.get(id)));
      return new Map(missing.map((id, index) => [id, rows[index]]));
    });
  }

  async #fromPrimary(key) {
    return (await this.#primaryLoads.add([key]))[0];
  }

  /** Rows are read first and delayed afterwards, so that they are old on arrival. */
  async #load(keys, read = this.#read) {
    const versions = await read(keys);
    await sleep(this.#random() ** SLOWNESS * SLOW_MS);
    return Array.from(versions, (version) => ({ version }));
  }

  /**
   * Reads the second tier without `get()`, which would store the value in
   * memory and hide its source.
   */
  async #served(key) {
    const l2 = this.#tiers.get(parseCacheKey(key).entityType) ?? null;
    if (l2 === null || this.#source.bypass) return 0;
    return (await l2.get(key))?.value.version ?? 0;
  }
}

/** Rows that are requested at about the same time are loaded by one query. */
class Loads {
  /** Duration in milliseconds of the loads that were awaited in sequence. */
  took = 0;
  #load;
  #batch = null;

  constructor(load) {
    this.#load = load;
  }

  async add(keys) {
    this.#batch ??= { keys: [], rows: this.#begin() };
    const { keys: asked, rows } = this.#batch;
    const from = asked.push(...keys) - keys.length;
    return (await rows).slice(from, from + keys.length);
  }

  async #begin() {
    await setImmediate();
    const { keys } = this.#batch;
    this.#batch = null;
    const began = performance.now();
    try {
      return await this.#load(keys);
    } finally {
      this.took += performance.now() - began;
    }
  }
}

/** @returns type -> id -> key */
function grouped(keys) {
  const types = new Map();
  for (const key of keys) {
    const { entityType, entityId } = parseCacheKey(key);
    if (!types.has(entityType)) types.set(entityType, new Map());
    types.get(entityType).set(entityId, key);
  }
  return types;
}
