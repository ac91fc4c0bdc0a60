/** Cost of a hit in a near cache, and of an eviction. */
import { Cached, NearCacheFactory } from 'nestjs-cache-invalidation';
import { LRUCache } from 'lru-cache';
import {
  setImmediate as turn,
  setTimeout as delay,
} from 'node:timers/promises';
import { entity, Instance } from '../../dist/lib/message/index.js';
import { Fences } from '../../dist/lib/stream/index.js';
import { startApp } from './apps.mjs';
import { interleaved, ms, ratio } from './measure.mjs';

const KEYS = 10_000;
const READS = 1_000_000;
const ENTRIES = 1_000_000;
const CHECKS = 200_000;
const REMEMBERED = 300_000;
const AFTERMATH_MS = 1_500;

/** A replica that has everything. */
const REPLICA = {
  applied: async () => 'everything',
  isBefore: () => false,
  current: async () => '',
};

/** Hits, awaited or not, compared with the underlying map. */
export async function nearCache(url, rounds) {
  class Users {
    async find(id) {
      return id;
    }
  }
  decorate(Users);
  const app = await startApp(url, 'module', [Users]);
  const users = app.app.get(Users);
  const near = app.app.get(NearCacheFactory).create('User', { max: KEYS });
  const besideReplica = app.app.get(NearCacheFactory).create('Comment', {
    max: KEYS,
    replica: REPLICA,
  });
  const bare = new LRUCache({ max: KEYS, ttl: 300_000 });
  const exact = new LRUCache({ max: KEYS, ttl: 300_000, ttlResolution: 0 });
  const ids = Array.from({ length: KEYS }, (_, id) => String(id));
  // Nothing is kept before the replica has answered.
  while (besideReplica.peek('0') === undefined) {
    await besideReplica.get('0', () => '0');
    await delay(1);
  }
  for (const id of ids) {
    bare.set(id, id);
    exact.set(id, id);
    await near.get(id, () => id);
    await besideReplica.get(id, () => id);
    await users.find(id);
  }
  const load = () => Promise.reject(new Error('A read was not a hit.'));
  const cost = (read) => () => {
    const start = performance.now();
    for (let i = 0; i < READS; i++) read(ids[i % KEYS]);
    return ((performance.now() - start) * 1e6) / READS;
  };
  const awaited = (read) => async () => {
    const start = performance.now();
    for (let i = 0; i < READS; i++) await read(ids[i % KEYS]);
    return ((performance.now() - start) * 1e6) / READS;
  };
  const fences = new Fences();
  fences.take();
  const instance = new Instance('bench');
  const messages = Array.from({ length: REMEMBERED }, (_, id) =>
    instance.stamp(entity('User', `u${id}`)),
  );
  const fence = app.subscriber.fence();
  for (let i = 0; i < 1_000; i++) await app.publisher.invalidate('Post', i);
  const result = await interleaved(rounds, {
    'lru-cache': cost((id) => bare.get(id)),
    'lru-cache, `ttlResolution: 0`': cost((id) => exact.get(id)),
    'near cache': cost((id) => near.get(id, load)),
    'near cache with `replica`': cost((id) => besideReplica.get(id, load)),
    'lru-cache, awaited': awaited((id) => bare.get(id)),
    'near cache, awaited': awaited((id) => near.get(id, load)),
    'near cache with `replica`, awaited': awaited((id) =>
      besideReplica.get(id, load),
    ),
    '`@Cached`, awaited': awaited((id) => users.find(id)),
    'fence: checked 1,000 messages later': () => {
      const start = performance.now();
      for (let i = 0; i < CHECKS; i++) fence.holds('user:1');
      return ((performance.now() - start) * 1e6) / CHECKS;
    },
    'fence: remembering a message, of 300,000 keys': () => {
      const start = performance.now();
      for (const message of messages) fences.record(message);
      return ((performance.now() - start) * 1e6) / REMEMBERED;
    },
  });
  await app.close();
  const base = (name) =>
    result[name.endsWith('awaited') ? 'lru-cache, awaited' : 'lru-cache'];
  return {
    title: 'A hit in memory',
    note: `${READS} reads of ${KEYS} keys a round, one after the other. A near cache returns a promise; lru-cache is used with a TTL and returns the value; it reads the clock once a millisecond, with a ttlResolution of 0 at each read, as a near cache does.`,
    columns: ['time', 'of lru-cache'],
    rows: Object.entries(result).map(([name, time]) => [
      name,
      `${Math.round(time)} ns`,
      name.startsWith('fence') ? '' : ratio(time, base(name)),
    ]),
  };
}

/** Patterns that match all entries of a large cache: by prefix, and entry by entry. */
export async function eviction(url, rounds) {
  const app = await startApp(url);
  const near = app.app.get(NearCacheFactory).create('User', { max: ENTRIES });
  const ids = Array.from({ length: ENTRIES }, (_, id) => `tenant1:${id}`);
  const evict = (glob) => async () => {
    for (let from = 0; from < ENTRIES; from += 1_000) {
      const some = ids.slice(from, from + 1_000);
      await near.getMany(some, (all) => new Map(all.map((id) => [id, id])));
    }
    const start = performance.now();
    const published = app.publisher.invalidatePattern(glob);
    let all = null;
    let longest = 0;
    // Garbage collection after the eviction also blocks the event loop.
    for (let last = start; all === null || last < start + AFTERMATH_MS;) {
      await turn();
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (near.stats.size === 0) all ??= now - start;
    }
    await published;
    return { all, longest };
  };
  const results = await interleaved(rounds, {
    'user:*': evict('user:*'),
    'user:tenant1:*': evict('user:tenant1:*'),
  });
  await app.close();
  return {
    title: 'A pattern and a large near cache',
    note: `A prefix pattern matches ${ENTRIES.toLocaleString('en-US')} entries. From the delivery on, none of them can be read; the time is from the call of invalidatePattern() until all have left the memory. The event loop is measured for ${AFTERMATH_MS} ms.`,
    columns: ['until all are gone', 'longest the event loop was held'],
    rows: Object.entries(results).map(([glob, { all, longest }]) => [
      `\`${glob}\``,
      ms(all),
      ms(longest),
    ]),
  };
}

function decorate(type) {
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, 'find');
  Cached('User', (id) => id)(type.prototype, 'find', descriptor);
  Object.defineProperty(type.prototype, 'find', descriptor);
}
