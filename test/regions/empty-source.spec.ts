import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

describe('RegionRelay of a source that was empty', () => {
  it('does not trust a journal that begins again while no relay ran', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app();
    const relay = await eu.app({ us });
    await eventually(() => expect(reader.messages.map(said)).toEqual(['*']));
    await eventually(() =>
      expect(relay.subscriber.staleness('us')).toBeLessThan(1_000),
    );
    await relay.close();
    const writer = await us.app();
    await writer.publisher.invalidate('User', 1);
    await writer.close();
    await us.redis.restart();
    const later = await us.app();
    await later.publisher.invalidate('User', 2);

    await eu.app({ us });
    await eventually(() =>
      expect(reader.messages.map(said)).toEqual(['*', '*']),
    );
  });
});
