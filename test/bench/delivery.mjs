import { fork } from 'node:child_process';
import { once } from 'node:events';
import { startApp, startPublishers, startRaw } from './apps.mjs';
import { interleaved, perSecond, ratio, us } from './measure.mjs';
import {
  publishPipelined,
  publishSingly,
  publishThroughModule,
} from './publish.mjs';

const TOTAL = 40_000;
const FLOOD = 100_000;
/** Messages after which the receiver's code is compiled. */
const WARM_UP = 40_000;

/** Deliveries from one process to another. */
export async function delivery(url, rounds) {
  const { app, bare, raw, close } = await startPublishers(url);
  const result = await interleaved(rounds, {
    'raw, one call per message': () =>
      timed(url, 'raw', TOTAL, (total) => publishSingly(raw, total)),
    'raw, pipelines of 100': () =>
      timed(url, 'raw', TOTAL, (total) => publishPipelined(raw, total)),
    'module, journal: false': () =>
      timed(url, 'bare', TOTAL, (total) => publishThroughModule(bare, total)),
    module: () =>
      timed(url, 'module', TOTAL, (total) => publishThroughModule(app, total)),
  });
  await close();
  return {
    title: 'Publish to delivery, throughput',
    note: `${TOTAL} messages, 256 in flight, until the other process has the last one. Raw ioredis passes the text on unread; the module decodes and checks it, and calls a handler.`,
    columns: ['messages/s', 'to one call per message', 'to pipelines of 100'],
    rows: Object.entries(result).map(([name, { rate }]) => [
      name,
      perSecond(rate),
      ratio(rate, result['raw, one call per message'].rate),
      ratio(rate, result['raw, pipelines of 100'].rate),
    ]),
  };
}

/** Cost of a message for its receiver. */
export async function receiving(url, rounds) {
  const [app, raw] = [await startApp(url), await startRaw(url)];
  const receive = (kind) => () =>
    timed(url, kind, FLOOD, (total) => publishPipelined(raw, total));
  const result = await interleaved(rounds, {
    'raw, text unread': receive('raw'),
    'raw and JSON.parse': receive('parse'),
    'module, foreign messages': receive('foreign'),
    module: () =>
      timed(url, 'module', FLOOD, (total) => publishThroughModule(app, total)),
  });
  raw.disconnect();
  await app.close();
  const base = result['raw and JSON.parse'].cpu;
  return {
    title: 'Receiving',
    note: `CPU time of the receiving process over ${FLOOD} messages, which depends less than a rate on the three processes that share few cores.`,
    columns: [
      'CPU per message',
      'messages/s of one core',
      'to raw and JSON.parse',
    ],
    rows: Object.entries(result).map(([name, { cpu }]) => [
      name,
      us(cpu),
      perSecond(1e6 / cpu),
      ratio(base, cpu),
    ]),
  };
}

/** Messages per second, and CPU time of the receiver for each. */
export async function timed(url, kind, total, publish) {
  const receiver = await startReceiver(kind, url);
  await flood(receiver, WARM_UP, publish);
  const start = performance.now();
  const cpu = await flood(receiver, total, publish);
  const rate = (total / (performance.now() - start)) * 1_000;
  receiver.disconnect();
  await once(receiver, 'exit');
  return { rate, cpu };
}

async function flood(receiver, total, publish) {
  await ask(receiver, { expect: total });
  const done = once(receiver, 'message');
  await publish(total);
  const [{ cpu }] = await done;
  return cpu;
}

export async function startReceiver(kind, url) {
  const receiver = fork(new URL('receiver.mjs', import.meta.url), [kind, url]);
  await once(receiver, 'message');
  return receiver;
}

export async function ask(receiver, what) {
  receiver.send(what);
  await once(receiver, 'message');
}
