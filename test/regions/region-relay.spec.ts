import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions } from './regions.js';

describe('RegionRelay', () => {
  it('carries an invalidation to the other region', async () => {
    const [eu, us] = await startRegions('eu', 'us');
    const reader = await eu!.app({ us: us! });
    const writer = await us!.app({ eu: eu! });
    await eventually(() =>
      expect(reader.subscriber.staleness()).toBeLessThan(1_000),
    );
    await writer.publisher.invalidate('User', 1);
    await eventually(() =>
      expect(reader.messages.map(said)).toContain('User:1'),
    );
    expect(reader.messages.map(said)).toEqual(['*', 'User:1']);
    expect(writer.messages.map(said)).toEqual(['*', 'User:1']);
  });
});
