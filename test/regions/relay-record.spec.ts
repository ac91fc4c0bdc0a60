import { expect, it, onTestFinished } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { startRedis } from '../support/redis.js';

const LATE_MS = 1_000;

it('A proof that was on its way for long is as old as it is', async () => {
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
