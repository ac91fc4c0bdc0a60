import { expect, it } from 'vitest';
import { relayKey } from '../../lib/transport/index.js';
import { connectRaw, said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

const DELAY = 500;

it('What a relay publishes at its first start is repeated after the delay', async () => {
  const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
  const writer = await us.app();
  await writer.publisher.invalidate('User', 0);
  const watcher = await eu.app({ us: {} });
  await eu.app({ us: { connection: us.redis.url, delay: DELAY } });
  await eventually(() => expect(watcher.messages.map(said)).toEqual(['*']));
  const since = performance.now();
  await eventually(() =>
    expect(watcher.messages.map(said)).toEqual(['*', '*']),
  );
  expect(performance.now() - since).toBeGreaterThan(DELAY / 2);
});

it('Entries that were trimmed before their repetition are widened after the delay, not at once', async () => {
  const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
  const writer = await us.app();
  await writer.publisher.invalidate('User', 0);
  const watcher = await eu.app({ us: {} });
  const relay = await eu.app({
    us: { connection: us.redis.url, delay: DELAY },
  });
  const raw = connectRaw(eu.redis.url);
  const record = relayKey(eu.channel, 'us:repeat');
  await eventually(async () =>
    expect(await raw.hget(record, 'offset')).not.toBeNull(),
  );
  await relay.close();
  const before = watcher.messages.length;
  await raw.hset(record, 'offset', '1-1');
  await writer.publisher.invalidate('User', 1);
  await eu.app({ us: { connection: us.redis.url, delay: DELAY } });
  const news = () => watcher.messages.slice(before).map(said);
  await eventually(() => expect(news()).toContain('User:1'));
  const since = performance.now();
  await eventually(() =>
    expect(news().slice(news().indexOf('User:1') + 1)).toContain('*'),
  );
  expect(performance.now() - since).toBeGreaterThan(DELAY / 2);
});
