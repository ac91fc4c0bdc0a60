/** Loads of eight instances that all need everything again. */
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApp } from './apps.mjs';
import { interleaved } from './measure.mjs';

const INSTANCES = 8;
const KEYS = 200;
const LOAD_MS = 10;
const CONCURRENCY = 4;
/** All instances share one event loop, which holds up answers of Redis. */
const TIMEOUT_MS = 5_000;

const VARIANTS = {
  'in memory': {},
  '`load.concurrency: 4`': { load: { concurrency: CONCURRENCY } },
  '`l2: {}`': { l2: {} },
  '`l2: { singleFlight: true }`': { l2: { singleFlight: true } },
  'both: `singleFlight` and `load.concurrency: 4`': {
    load: { concurrency: CONCURRENCY },
    l2: { singleFlight: true },
  },
};

export async function stampede(url, rounds) {
  const apps = [];
  for (let i = 0; i < INSTANCES; i++) apps.push(await startApp(url));
  const ids = Array.from({ length: KEYS }, (_, id) => String(id));
  const run = (options, at) => {
    const keyPrefix = `stampede:${at}:`;
    const l2 = options.l2 && {
      keyPrefix,
      timeout: TIMEOUT_MS,
      ...options.l2,
    };
    const caches = apps.map(({ app }) =>
      app.get(NearCacheFactory).create('User', { ...options, l2 }),
    );
    return async () => {
      const { offset } = await apps[0].publisher.invalidateAll();
      await Promise.all(
        apps.map(({ subscriber }) => subscriber.caughtUp(offset)),
      );
      let loads = 0;
      let running = 0;
      let most = 0;
      const load = async (id) => {
        loads++;
        most = Math.max(most, ++running);
        await sleep(LOAD_MS);
        running--;
        return { id };
      };
      const start = performance.now();
      await Promise.all(
        caches.flatMap((cache) =>
          ids.map((id) => cache.get(id, () => load(id))),
        ),
      );
      return { loads, most, time: performance.now() - start };
    };
  };
  const results = await interleaved(
    rounds,
    Object.fromEntries(
      Object.entries(VARIANTS).map(([name, options], at) => [
        name,
        run(options, at),
      ]),
    ),
  );
  for (const { app } of apps) await app.close();
  return {
    title: 'Loads after "everything"',
    note: `${INSTANCES} instances in one process read all of ${KEYS} rows at the same time, right after everything was invalidated; a load takes ${LOAD_MS} ms. All share one event loop, so the times are long, and \`l2.timeout\` is ${TIMEOUT_MS} ms: where Redis takes longer than that, instances load for themselves.`,
    columns: ['loads per row', 'most loads at a time', 'until all are read'],
    rows: Object.entries(results).map(([name, { loads, most, time }]) => [
      name,
      (loads / KEYS).toFixed(2),
      String(most),
      `${Math.round(time)} ms`,
    ]),
  };
}
