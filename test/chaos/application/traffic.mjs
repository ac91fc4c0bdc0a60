import { setTimeout as sleep } from 'node:timers/promises';
import {
  batch,
  buildCacheKey,
  entity,
  pattern,
} from 'nestjs-cache-invalidation';

const TICK_MS = 10;
/** Number of rows of a change of several rows, or of a pattern. */
const SEVERAL = 5;
const BY_PATTERN = 10;
/** Pages at a time, so that a slow database is not overloaded. */
const PAGES = 20;
/**
 * Limit far beyond the wait of a read for Redis, or for the database of this
 * program.
 */
const HANGS_MS = 5_000;
/** Calls at a time: a server limits its requests, too. */
const CALLS = 2_000;

/** Reads all rows repeatedly, so that the caches are full whenever they can be. */
export class Reading {
  #caches;
  #keys;
  #rowsPerSecond;
  #next = 0;
  #underWay = new Set();
  #failed = 0;
  #failure = null;
  /** Milliseconds of the slowest page, without the database. */
  #slowest = 0;
  #timer;

  constructor(caches, keys, rowsPerSecond) {
    this.#caches = caches;
    this.#keys = keys;
    this.#rowsPerSecond = rowsPerSecond;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Resolves once no read is under way, or one hangs, which `report()` shows. */
  async stop() {
    clearInterval(this.#timer);
    const hangs = new AbortController();
    await Promise.race([
      Promise.all(this.#underWay),
      sleep(HANGS_MS, null, { signal: hangs.signal }).catch(() => {}),
    ]);
    hangs.abort();
  }

  report() {
    return {
      failed: this.#failed,
      failure: this.#failure,
      slowest: this.#slowest,
      underWay: this.#underWay.size,
    };
  }

  #tick() {
    if (this.#underWay.size >= PAGES) return;
    const count = Math.ceil((this.#rowsPerSecond * TICK_MS) / 1_000);
    const page = this.#keys.slice(this.#next, this.#next + count);
    this.#next += count;
    if (this.#next >= this.#keys.length) this.#next = 0;
    const reading = this.#read(page);
    this.#underWay.add(reading);
    void reading.then(() => this.#underWay.delete(reading));
  }

  async #read(page) {
    const began = performance.now();
    try {
      const database = await this.#caches.read(page);
      const own = performance.now() - began - database;
      this.#slowest = Math.max(this.#slowest, own);
    } catch (error) {
      this.#failed++;
      this.#failure ??= error.stack;
    }
  }
}

/** Changes rows at a steady rate: most singly, some together, some by pattern. */
export class Writing {
  calls = 0;
  failed = 0;
  failure = null;
  /** Milliseconds that the library took of the slowest call. */
  slowest = 0;
  #call;
  #rowsPerType;
  #types;
  #random;
  #perTick;
  #owed = 0;
  #underWay = 0;
  #timer = null;
  #idle = [];

  /** @param call `change => promise` that changes the rows and invalidates */
  constructor({ call, rowsPerType, types, random, perSecond }) {
    this.#call = call;
    this.#types = types;
    this.#rowsPerType = rowsPerType;
    this.#random = random;
    this.#perTick = (perSecond * TICK_MS) / 1_000;
  }

  start() {
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  /** Resolves once no call is under way. */
  async stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    if (this.#underWay === 0) return;
    await new Promise((resolve) => this.#idle.push(resolve));
  }

  #tick() {
    this.#owed += this.#perTick;
    for (; this.#owed >= 1; this.#owed--) {
      if (this.#underWay < CALLS) void this.#change();
    }
  }

  async #change() {
    const change = this.#choose();
    const began = performance.now();
    this.#underWay++;
    this.calls++;
    try {
      await this.#call(change);
      const own = change.bodyEnded - change.bodyBegan;
      this.slowest = Math.max(this.slowest, performance.now() - began - own);
    } catch (error) {
      this.failed++;
      this.failure ??= error.stack;
    }
    if (--this.#underWay > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #choose() {
    const type = this.#types[this.#below(this.#types.length)];
    const kind = this.#random();
    if (kind < 0.01) return this.#ofPattern(type);
    if (kind < 0.08) return this.#ofSeveral(type);
    const id = String(this.#below(this.#rowsPerType));
    return {
      method: `change${type}`,
      what: id,
      keys: [buildCacheKey(type, id)],
      invalidation: () => entity(type, id),
    };
  }

  #ofSeveral(type) {
    const ids = Array.from({ length: SEVERAL }, () =>
      String(this.#below(this.#rowsPerType)),
    );
    const keys = ids.map((id) => buildCacheKey(type, id));
    return {
      method: `change${type}`,
      what: ids,
      keys,
      invalidation: () => batch(keys),
    };
  }

  /** Expands a pattern: `user:12?` is the rows 120 to 129. */
  #ofPattern(type) {
    const tens = 1 + this.#below(this.#rowsPerType / BY_PATTERN - 1);
    const keys = Array.from({ length: BY_PATTERN }, (_, one) =>
      buildCacheKey(type, `${tens}${one}`),
    );
    const glob = buildCacheKey(type, `${tens}?`);
    return {
      method: 'changeMatching',
      what: glob,
      keys,
      invalidation: () => pattern(glob),
    };
  }

  #below(limit) {
    return Math.floor(this.#random() * limit);
  }
}
