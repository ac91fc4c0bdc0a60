import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { startApp } from './apps.mjs';
import { median, ms, percentile } from './measure.mjs';

const RATE = 1_000;
const TOTAL = 5_000;

/** Records how many messages the page showed when, by the clock that publishers use. */
function watch() {
  const seen = (globalThis.seen = []);
  const total = document.getElementById('total');
  const shown = () => Number(total.textContent.replaceAll(',', ''));
  const note = () =>
    seen.push([performance.timeOrigin + performance.now(), shown()]);
  new MutationObserver(() => requestAnimationFrame(note)).observe(total, {
    childList: true,
  });
  return shown();
}

/** The sample app's page in a real browser, all services in processes of their own. */
export async function livePage(url, rounds) {
  process.env.REDIS_URL = url;
  const { Network } = await import('../../dist/sample-app/demo/network.js');
  const network = new Network({ anyPorts: true, onLine: () => undefined });
  await network.start();
  const browser = await chromium.launch({
    executablePath: execFileSync('which', ['chromium']).toString().trim(),
    args: ['--no-sandbox'],
  });
  const { publisher, close } = await startApp(url, 'sample');
  try {
    const firsts = [];
    const lags = [];
    for (let round = 0; round < rounds; round++) {
      // A profile of its own, with an empty cache.
      const page = await browser.newPage();
      firsts.push(await firstData(page, network.urlOf('gateway')));
      lags.push(...(await lagsOf(page, publisher)));
      await page.close();
    }
    return table(rounds, firsts, lags);
  } finally {
    await close();
    await browser.close();
    await network.stop();
  }
}

async function firstData(page, url) {
  await page.goto(url);
  const first = await page.waitForFunction(
    () => performance.getEntriesByName('first-state')[0]?.startTime,
  );
  return first.jsonValue();
}

/** Lag of each message, from its publish to the frame in which it is counted. */
async function lagsOf(page, publisher) {
  const before = await page.evaluate(watch);
  const published = [];
  const start = performance.now();
  for (let i = 0; i < TOTAL; i++) {
    // Waits without a busy loop: the browser and the services need the processor.
    while (performance.now() < start + (i * 1_000) / RATE) await delay(1);
    published.push(performance.timeOrigin + performance.now());
    void publisher.invalidateCustom('bench', i);
  }
  await page.waitForFunction(
    (all) => globalThis.seen.at(-1)?.[1] >= all,
    before + TOTAL,
  );
  const seen = await page.evaluate(() => globalThis.seen);
  let shown = 0;
  return published.map((at, index) => {
    while (seen[shown][1] < before + index + 1) shown++;
    return seen[shown][0] - at;
  });
}

function table(rounds, firsts, lags) {
  return {
    title: "The sample app's live page",
    note: `Chromium without a window and six services in processes of their own, on this machine. First data: from navigation to the first drawn state, in ${rounds} visits. Publish to display: from the publish of a message to the frame in which it is counted, with ${TOTAL} messages at ${RATE} a second and a frame every 100 ms.`,
    columns: ['median', 'p99', 'asked'],
    rows: [
      ['first data', ms(median(firsts)), ms(percentile(firsts, 99)), '300 ms'],
      ['publish to display', ms(median(lags)), ms(percentile(lags, 99)), '-'],
    ],
  };
}
