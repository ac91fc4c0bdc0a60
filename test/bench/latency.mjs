import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { RAW_CHANNEL, rawMessage, startPublishers } from './apps.mjs';
import { ask, startReceiver } from './delivery.mjs';
import { interleaved, ms, ratio } from './measure.mjs';

const RATE = 2_000;
const TOTAL = 4_000;

/** Latency from the call in one process to the handler in another, at a steady rate. */
export async function latency(url, rounds) {
  const { app, bare, raw, close } = await startPublishers(url);
  const receivers = {
    raw: await startReceiver('parse', url),
    module: await startReceiver('module', url),
    bare: await startReceiver('bare', url),
  };
  const now = () => String(process.hrtime.bigint());
  const result = await interleaved(rounds, {
    'raw and JSON.parse': () =>
      paced(receivers.raw, () =>
        raw.publish(RAW_CHANNEL, JSON.stringify(rawMessage(now()))),
      ),
    'module, journal: false': () =>
      paced(receivers.bare, () => bare.publisher.invalidate('User', now())),
    module: () =>
      paced(receivers.module, () => app.publisher.invalidate('User', now())),
  });
  for (const receiver of Object.values(receivers)) {
    receiver.disconnect();
    await once(receiver, 'exit');
  }
  await close();
  return {
    title: 'Publish to delivery, latency',
    note: `${TOTAL} messages a round at ${RATE} a second, measured by the monotonic clock, which the processes of one machine share.`,
    columns: ['p50', 'p99', 'p50 to raw'],
    rows: Object.entries(result).map(([name, { p50, p99 }]) => [
      name,
      ms(p50),
      ms(p99),
      ratio(p50, result['raw and JSON.parse'].p50),
    ]),
  };
}

async function paced(receiver, publish) {
  await ask(receiver, { expect: TOTAL, latency: true });
  const done = once(receiver, 'message');
  const start = performance.now();
  for (let i = 0; i < TOTAL; i++) {
    while (performance.now() < start + (i * 1_000) / RATE) await setImmediate();
    void publish();
  }
  const [{ p50, p99 }] = await done;
  return { p50, p99 };
}
