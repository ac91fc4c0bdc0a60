import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { startSentinel } from '../support/redis.topologies.js';
import { startTransport } from './transport.contract.js';

describeOnRedisServer('By a Sentinel', () => {
  it('connects again after it was given up while that was being asked', async () => {
    const { sentinels, name, master, stop } = await startSentinel();
    onTestFinished(stop);
    const proxy = await startProxy(sentinels[0]!.port);
    onTestFinished(() => proxy.close());
    const { port } = proxy;
    const transport = new RedisTransport({
      connection: { sentinels: [{ host: '127.0.0.1', port }], name },
      channel: uniqueChannel(),
      journal: { maxLength: 1_000 },
      sharded: false,
    });
    await startTransport(transport);
    await eventually(() => expect(transport.writable).toBe(true));

    proxy.delay(200);
    await connectRaw(master.url).call('CLIENT', 'KILL', 'TYPE', 'normal');
    await eventually(() => expect(transport.writable).toBe(false));
    // As heartbeats do that have no answer; asking takes longer than that.
    for (let i = 0; i < 30; i++) {
      transport.reconnect('commands');
      await delay(20);
    }
    await eventually(() => expect(transport.writable).toBe(true));
  });
});
