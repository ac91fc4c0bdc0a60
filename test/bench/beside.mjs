/**
 * Reads and writes of two instances with a tier in Redis, by this library and
 * by others.
 */
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp, startRaw } from './apps.mjs';
import { interleaved, median, percentile, perSecond, us } from './measure.mjs';

const ROWS = 1_000;
const READS = 20_000;
/** Reads for each update. */
const READS_PER_UPDATE = 20;
const LOAD_MS = 1;
const LANES = 50;
const SETTLE_MS = 200;

export async function beside(url, rounds) {
  const raw = await startRaw(url);
  const contestants = {
    'near cache': await startModule(url),
    bentocache: await startBento(url),
  };
  const result = await interleaved(
    rounds,
    Object.fromEntries(
      Object.entries(contestants).map(([name, cluster]) => [
        name,
        () => run(cluster),
      ]),
    ),
  );
  for (const { close } of Object.values(contestants)) await close();
  raw.disconnect();
  return {
    title: 'Beside another cache of two tiers',
    note: `Two instances with a tier in memory and one in Redis, ${ROWS} rows, ${READS.toLocaleString('en-US')} reads a round, ${LANES} at a time, and one update for ${READS_PER_UPDATE} reads; a load takes ${LOAD_MS} ms. bentocache 1.6 set up as in its documentation (memory, redis, redis bus; TTL 5 min), with \`delete\` after each update. Stale: rows of which an instance still has an old version ${SETTLE_MS} ms after the last update.`,
    columns: ['reads/s', 'read p50', 'read p99', 'loads', 'stale'],
    rows: Object.entries(result).map(([name, each]) => [
      name,
      perSecond(each.perSecond),
      us(each.p50 * 1_000),
      us(each.p99 * 1_000),
      String(each.loads),
      String(each.stale),
    ]),
  };
}

/** @param cluster `read(instance, id, load)`, `forget(instance, id)`, `kept(instance, id)` */
async function run(cluster) {
  const versions = Array.from({ length: ROWS }, () => 0);
  let loads = 0;
  const load = async (id) => {
    loads++;
    const version = versions[id];
    await sleep(LOAD_MS);
    return { version };
  };
  const latencies = [];
  let next = 0;
  await cluster.clear();
  await sleep(SETTLE_MS);
  const lane = async () => {
    while (next < READS) {
      const at = next++;
      // All contestants read the same rows, a few of them much more often than
      // the rest.
      const id = ((at * 7919) % ROWS) % (at % 3 === 0 ? ROWS : 50);
      const instance = at % 2;
      if (at % READS_PER_UPDATE === 0) {
        versions[id]++;
        await cluster.forget(instance, id);
      }
      const start = performance.now();
      await cluster.read(instance, id, () => load(id));
      latencies.push(performance.now() - start);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: LANES }, lane));
  const time = performance.now() - start;
  await sleep(SETTLE_MS);
  let stale = 0;
  for (const instance of [0, 1]) {
    for (let id = 0; id < ROWS; id++) {
      const kept = await cluster.kept(instance, id);
      if (kept !== undefined && kept.version !== versions[id]) stale++;
    }
  }
  return {
    perSecond: (READS / time) * 1_000,
    p50: median(latencies),
    p99: percentile(latencies, 99),
    loads,
    stale,
  };
}

async function startModule(url) {
  const apps = [await startApp(url), await startApp(url)];
  const caches = apps.map(({ app }) =>
    app.get(NearCacheFactory).create('User', { l2: {} }),
  );
  return {
    read: (instance, id, load) => caches[instance].get(id, load),
    forget: (instance, id) => apps[instance].publisher.invalidate('User', id),
    kept: (instance, id) => caches[instance].peek(id),
    clear: () => apps[0].publisher.invalidateAll(),
    async close() {
      for (const { app } of apps) await app.close();
    },
  };
}

async function startBento(url) {
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port) };
  const instances = [0, 1].map(
    () =>
      new BentoCache({
        default: 'tiered',
        ttl: '5m',
        stores: {
          tiered: bentostore()
            .useL1Layer(memoryDriver({ maxItems: 10_000 }))
            .useL2Layer(redisDriver({ connection }))
            .useBus(redisBusDriver({ connection })),
        },
      }),
  );
  return {
    read: (instance, id, load) =>
      instances[instance].getOrSet({ key: `user:${id}`, factory: load }),
    forget: (instance, id) => instances[instance].delete({ key: `user:${id}` }),
    kept: (instance, id) => instances[instance].get({ key: `user:${id}` }),
    clear: () => instances[0].clear(),
    async close() {
      for (const instance of instances) await instance.disconnectAll();
    },
  };
}
