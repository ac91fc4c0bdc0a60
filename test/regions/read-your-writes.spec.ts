import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidationTimeoutError } from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished } from 'vitest';
import { said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { startRegions, type Region } from './regions.js';

describe('caughtUp() with a region', () => {
  it('waits until what the other region has published is applied', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const proxy = await startProxy(us.redis.port);
    onTestFinished(() => proxy.close());
    const reader = await eu.app({ us: { connection: proxy.url } });
    const writer = await us.app();
    await eventually(() =>
      expect(reader.subscriber.staleness()).toBeLessThan(1_000),
    );
    proxy.delay(100);
    const { offset } = await writer.publisher.invalidate('User', 1);
    expect(reader.messages.map(said)).not.toContain('User:1');
    await reader.subscriber.caughtUp(offset!, { region: 'us' });
    expect(reader.messages.map(said)).toContain('User:1');
  });

  it('rejects when the other region is cut off, and for a region that is no source', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({ us: {} });
    const writer = await us.app();
    const { offset } = await writer.publisher.invalidate('User', 1);
    const late = reader.subscriber.caughtUp(offset!, {
      region: 'us',
      timeout: 50,
    });
    await expect(late).rejects.toThrow(InvalidationTimeoutError);
    const wrong = reader.subscriber.caughtUp(offset!, { region: 'ap' });
    await expect(wrong).rejects.toThrow('"ap" is not among its sources.');
  });

  it('rejects in time where Redis falls silent between the record and the journal', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const proxy = await startProxy(eu.redis.port);
    onTestFinished(() => proxy.close());
    const relay = await eu.app({ us });
    const reader = await eu.app(
      { us: {} },
      { connection: proxy.url, heartbeatInterval: 60_000 },
    );
    const writer = await us.app();
    const { offset } = await writer.publisher.invalidate('User', 1);
    await eventually(() =>
      expect(relay.messages.map(said)).toContain('User:1'),
    );
    proxy.delay(100);
    const since = performance.now();
    const late = reader.subscriber.caughtUp(offset!, {
      region: 'us',
      timeout: 400,
    });
    const answer = late.catch((error: Error) => error);
    // The record was answered by then, and the journal was not.
    await sleep(220);
    proxy.swallow();
    expect(await answer).toBeInstanceOf(InvalidationTimeoutError);
    expect(performance.now() - since).toBeLessThan(1_000);
  });

  it('means this region by its own name', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const [writer, reader] = [await eu.app({ us }), await eu.app({ us })];
    const { offset } = await writer.publisher.invalidate('User', 1);
    await reader.subscriber.caughtUp(offset!, { region: 'eu' });
    expect(reader.messages.map(said)).toContain('User:1');
  });
});
