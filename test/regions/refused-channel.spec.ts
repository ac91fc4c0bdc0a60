import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { journalKey } from '../../lib/transport/index.js';
import { connectRaw } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { startRegions, type Region } from './regions.js';

describeOnRedisServer('A relay whose channel is refused', () => {
  it('journals each message once', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const app = await eu.app({ us });
    const writer = await us.app();
    await eventually(() =>
      expect(app.subscriber.staleness()).toBeLessThan(1_000),
    );
    const raw = connectRaw(eu.redis.url);
    await raw.call('ACL', 'SETUSER', 'default', 'resetchannels');
    await writer.publisher.invalidate('User', 1);
    await writer.publisher.invalidate('User', 2);
    const length = () => raw.xlen(journalKey(eu.channel));
    await eventually(async () => expect(await length()).toBe(3));
    // Long enough for two more tries.
    await sleep(2_200);
    expect(await length()).toBe(3);
  });
});
