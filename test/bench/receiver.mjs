/**
 * A process that receives: `node receiver.mjs raw|parse|module|bare|foreign
 * URL`. Its parent sends it the number of messages to expect, and it answers
 * with their cost.
 */
import { RAW_CHANNEL, startApp, startRaw } from './apps.mjs';
import { percentile } from './measure.mjs';

const [kind, url] = process.argv.slice(2);
let expected = 0;
let received = 0;
let cpu = null;
let latencies = null;

function onId(id) {
  if (received === 0) cpu = process.cpuUsage();
  if (latencies !== null) {
    latencies.push(Number(process.hrtime.bigint() - BigInt(id)) / 1e6);
  }
  if (++received === expected) report();
}

function report() {
  const { user, system } = process.cpuUsage(cpu);
  process.send({
    cpu: (user + system) / received,
    p50: latencies?.length ? percentile(latencies, 50) : 0,
    p99: latencies?.length ? percentile(latencies, 99) : 0,
  });
}

if (kind === 'raw' || kind === 'parse') {
  const redis = await startRaw(url);
  redis.on(
    'message',
    kind === 'parse'
      ? (_, payload) => onId(JSON.parse(payload).entity_id)
      : () => onId(null),
  );
  await redis.subscribe(RAW_CHANNEL);
} else {
  const { subscriber } = await startApp(url, kind);
  subscriber.subscribe((message) => onId(message.entityId));
}

process.on('message', (message) => {
  expected = message.expect;
  latencies = message.latency ? [] : null;
  received = 0;
  process.send('armed');
});
process.on('disconnect', () => process.exit(0));
process.send('ready');
