import { expect, it, onTestFinished } from 'vitest';
import {
  encodeMessage,
  everything,
  Instance,
} from '../../lib/message/index.js';
import { RedisTransport } from '../../lib/transport/index.js';
import { uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { startRedis } from '../support/redis.js';

const LATE_MS = 1_000;

async function connect() {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const proxy = await startProxy(redis.port);
  onTestFinished(() => proxy.close());
  const transport = new RedisTransport({
    connection: proxy.url,
    channel: uniqueChannel(),
    role: 'both',
    journal: { maxLength: 10 },
    sharded: false,
    maxMessageBytes: 1_000,
  });
  onTestFinished(() => transport.close());
  transport.start(
    {
      onMessage: () => undefined,
      onUnverified: () => undefined,
      onSubscribed: () => undefined,
      onLost: () => undefined,
      onWritable: () => undefined,
      onError: () => undefined,
    },
    false,
  );
  await eventually(() => expect(transport.writable).toBe(true));
  return { proxy, transport };
}

it('A proof that was on its way for long is as old as it is', async () => {
  const { proxy, transport } = await connect();
  const record = transport.relayRecord('us', 'one');
  const place = { offset: null, restarts: 0 };
  expect(await record.hold(60_000)).toBe(true);
  proxy.delay(LATE_MS);
  expect(await record.prove(place, 0)).toBe(true);
  proxy.delay(0);
  // The call was as late as the answer.
  expect(await record.proofAge()).toBeGreaterThanOrEqual(2 * LATE_MS - 10);
  const other = transport.relayRecord('us', 'two');
  expect(await other.hold(60_000)).toBe(false);
});

it('A proof without a hold counts once an earlier call has told the time of Redis', async () => {
  const { proxy, transport } = await connect();
  const record = transport.relayRecord('postgres:main', 'one');
  const place = { offset: null, restarts: 0 };
  expect(await record.prove(place, 0)).toBe(true);
  expect(await record.proofAge()).toBeNull();
  expect(await record.prove(place, 500)).toBe(true);
  const age = (await record.proofAge())!;
  expect(age).toBeGreaterThanOrEqual(500);
  expect(age).toBeLessThan(LATE_MS);
  // One that knows no time yet does not replace it.
  const other = transport.relayRecord('postgres:main', 'two');
  expect(await other.prove(place, 0)).toBe(true);
  expect(await record.proofAge()).toBeGreaterThanOrEqual(500);
  expect(await record.prove({ offset: '1-0', restarts: 0 }, 0)).toBe(false);
  proxy.delay(LATE_MS);
  expect(await record.prove(place, 0)).toBe(true);
  proxy.delay(0);
  expect(await record.proofAge()).toBeGreaterThanOrEqual(2 * LATE_MS - 10);
});

it('Two relays give a message that both forward, each to its own master, two offsets', async () => {
  const payload = encodeMessage(
    new Instance('test').stamp(everything()),
    1_000,
  );
  const sequences = ['00001', '00002'].map(async (id) => {
    const { transport } = await connect();
    await transport
      .relayRecord('us', id)
      .forward({ offset: null, restarts: 0 }, '1-1', [
        { payload, kind: 'restart', offset: '1-1' },
      ]);
    return (await transport.journalTail()).split('-')[1];
  });
  const [one, other] = await Promise.all(sequences);
  expect(one).not.toBe(other);
});
