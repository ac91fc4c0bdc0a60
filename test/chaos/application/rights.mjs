import { setTimeout as sleep } from 'node:timers/promises';
import {
  InvalidationPublisher,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { RIGHT_TYPE, RIGHTS, RIGHTS_BOUND_MS } from '../rights.mjs';

/** Entries never expire during a run, so that only the bound and invalidations end them. */
const TTL_MS = 3_600_000;
/** From one revocation of this instance to the next. */
const REVOKES_EVERY_MS = 400;
/** Longest delay of a row that was read, so that revocations overtake loads. */
const SLOW_MS = 100;

/** Rights of an instance: a near cache with a bound, and revocations. */
export class Rights {
  #cache;
  #publisher;
  #parent;
  #random;
  #timer = null;
  #revocations = new Set();
  #reads = new Set();
  #closed = false;

  /** @param parent process, which has the rows */
  constructor(nest, parent, random) {
    this.#cache = nest.get(NearCacheFactory).create(RIGHT_TYPE, {
      ttl: TTL_MS,
      maxStaleness: RIGHTS_BOUND_MS,
      whenStale: 'bypass',
    });
    this.#publisher = nest.get(InvalidationPublisher);
    this.#parent = parent;
    this.#random = random;
  }

  /** Versions of all rights, as guards would get them now; none after the end. */
  async read() {
    if (this.#closed) return [];
    const reads = Array.from({ length: RIGHTS }, (_, right) =>
      this.#cache.get(right, () => this.#load(right)),
    );
    return tracked(this.#reads, Promise.all(reads));
  }

  startRevoking() {
    this.#timer ??= setInterval(() => {
      // A failure ends the process, and so the run.
      void tracked(this.#revocations, this.#revoke());
    }, REVOKES_EVERY_MS);
  }

  /** Resolves once no revocation is under way. */
  async stopRevoking() {
    clearInterval(this.#timer);
    this.#timer = null;
    await Promise.all(this.#revocations);
  }

  async close() {
    this.#closed = true;
    await Promise.all([this.stopRevoking(), ...this.#reads]);
  }

  async #load(right) {
    const version = await this.#parent.call('readRight', right);
    await sleep(this.#random() * SLOW_MS);
    return version;
  }

  async #revoke() {
    const right = Math.floor(this.#random() * RIGHTS);
    const version = await this.#parent.call('revokeRight', right);
    const receipt = await this.#publisher.invalidate(RIGHT_TYPE, right);
    if (receipt.status !== 'delivered') return;
    await this.#parent.call('confirmRight', right, version);
  }
}

/** Keeps a promise in the set until it has settled. */
async function tracked(set, promise) {
  set.add(promise);
  try {
    return await promise;
  } finally {
    set.delete(promise);
  }
}
