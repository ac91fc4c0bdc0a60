/** Cost of the metrics for Prometheus. */
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { startApp } from './apps.mjs';
import { timed } from './delivery.mjs';
import {
  interleaved,
  median,
  ms,
  percentile,
  perSecond,
  us,
} from './measure.mjs';
import { publishThroughModule } from './publish.mjs';

/** Enough messages for more than one scrape. */
const TOTAL = 150_000;
const CACHES = 20;
const SCRAPES = 300;

/** Publish to delivery, both ends scraped once a second or without the module. */
export async function metrics(url, rounds) {
  const [plain, metered] = [
    await startApp(url),
    await startApp(url, 'metered'),
  ];
  const flood = (kind, app) =>
    timed(url, kind, TOTAL, (total) => publishThroughModule(app, total));
  let first = true;
  const { pair } = await interleaved(rounds, {
    // Both in one round, since other load on the machine changes between rounds.
    pair: async () => {
      const order = ['module', 'metered'];
      if ((first = !first)) order.reverse();
      const by = {};
      for (const kind of order) {
        by[kind] = await flood(kind, kind === 'module' ? plain : metered);
      }
      return {
        without: by.module.rate,
        scraped: by.metered.rate,
        rate: by.metered.rate / by.module.rate,
        cpuWithout: by.module.cpu,
        cpuScraped: by.metered.cpu,
        cpu: by.metered.cpu / by.module.cpu,
      };
    },
  });
  await plain.close();
  await metered.close();
  return {
    title: 'Metrics for Prometheus',
    note: `${TOTAL} messages, 256 in flight, until the other process has the last one. Both processes are scraped once a second, or have no metrics module. The ratios are medians of the ratios of each round.`,
    columns: ['messages/s', 'to without', 'CPU of the receiver', 'to without'],
    rows: [
      ['without', perSecond(pair.without), '', us(pair.cpuWithout), ''],
      [
        'scraped once a second',
        perSecond(pair.scraped),
        pair.rate.toFixed(3),
        us(pair.cpuScraped),
        pair.cpu.toFixed(3),
      ],
    ],
  };
}

/** How long one scrape blocks the event loop. */
export async function scrape(url, rounds) {
  const { app, registry, publisher, close } = await startApp(url, 'metered');
  const caches = app.get(NearCacheFactory);
  for (let i = 0; i < CACHES; i++) {
    const cache = caches.create(`Entity${i}`);
    await cache.get('1', () => i);
  }
  await publisher.invalidate('User', 1);
  const time = async () => {
    const start = performance.now();
    await registry.metrics();
    return performance.now() - start;
  };
  const first = await time();
  const { all } = await interleaved(rounds, {
    all: async () => {
      const times = [];
      const before = process.cpuUsage();
      for (let i = 0; i < SCRAPES; i++) times.push(await time());
      const { user, system } = process.cpuUsage(before);
      return {
        p50: median(times),
        p99: percentile(times, 99),
        cpu: (user + system) / 1_000 / SCRAPES,
      };
    },
  });
  const text = await registry.metrics();
  await close();
  return {
    title: 'A scrape',
    note: `\`registry.metrics()\` of an application with ${CACHES} near caches: ${text.match(/^[^#\n]/gm).length} lines of values, ${(text.length / 1024).toFixed(0)} KiB; ${SCRAPES} a round.`,
    columns: ['the first', 'p50', 'p99', 'CPU time'],
    rows: [['a scrape', ms(first), ms(all.p50), ms(all.p99), ms(all.cpu)]],
  };
}
