import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { relayKey } from '../../lib/transport/index.js';
import { connectRaw, said, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

const MESSAGE = {
  message_id: '0b4f1a3e-27c8-4dc4-9f6b-52d2f5f0a111',
  entity_type: 'User',
  entity_id: '9',
  action: 'Delete',
  timestamp: '2026-11-29T00:00:00Z',
  source_service: 'rust',
};
const FOREIGN = JSON.stringify(MESSAGE);
const OVERSIZED = JSON.stringify({
  ...MESSAGE,
  metadata: 'x'.repeat(1_100_000),
});

/** A source with a journal: an empty one would be widened anyway. */
async function setUp(): Promise<[eu: Region, us: Region]> {
  const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
  const writer = await us.app();
  await writer.publisher.invalidate('User', 0);
  return [eu, us];
}

async function current(...apps: TestApp[]): Promise<void> {
  const since = performance.now();
  await eventually(() => {
    for (const { subscriber } of apps) {
      expect(subscriber.staleness()).toBeLessThan(performance.now() - since);
    }
  });
}

const publish = ({ redis, channel }: Region, payload: string) =>
  connectRaw(redis.url).publish(channel, payload);

describe('A message that no journal of the source has', () => {
  it.each([
    ['without a place', FOREIGN],
    ['too large', OVERSIZED],
  ])('is widened if Redis refuses it at first: %s', async (_, payload) => {
    const [eu, us] = await setUp();
    const app = await eu.app({ us });
    await current(app);
    const raw = connectRaw(eu.redis.url);
    await raw.config('SET', 'maxmemory', '1');
    await publish(us, payload);
    await sleep(300);
    await raw.config('SET', 'maxmemory', '0');
    await eventually(() => expect(app.messages.map(said)).toEqual(['*', '*']));
    await current(app);
    expect(app.messages).toHaveLength(2);
  });

  it('is widened if its relay ends while it is held', async () => {
    const [eu, us] = await setUp();
    const watcher = await eu.app({ us: {} });
    const relay = await eu.app({
      us: {
        connection: us.redis.url,
        held: ({ action }) =>
          action === 'Pattern' ? Promise.resolve() : sleep(1_500),
      },
    });
    await current(watcher, relay);
    await publish(us, FOREIGN);
    await sleep(200);
    await relay.close();
    await eventually(() =>
      expect(watcher.messages.map(said)).toEqual(['*', '*']),
    );
  });

  it('is widened if the Redis of this region loses it at a failover', async () => {
    const [eu, us] = await setUp();
    const relay = await eu.app({ us });
    await current(relay);
    const redis = connectRaw(eu.redis.url);
    const record = relayKey(eu.channel, 'us');
    const kept = await redis.hgetall(record);
    await publish(us, FOREIGN);
    await eventually(() =>
      expect(relay.messages.map(said)).toEqual(['*', 'User:9']),
    );
    // The new master has neither the message nor the record of its time.
    await redis.hset(record, kept);
    await eventually(() =>
      expect(relay.messages.map(said)).toEqual(['*', 'User:9', '*']),
    );
  });

  it('is widened if its relay ends in the pause between two widenings', async () => {
    const [eu, us] = await setUp();
    const watcher = await eu.app({ us: {} });
    const relay = await eu.app({ us });
    await current(watcher, relay);
    await publish(us, OVERSIZED);
    await eventually(() => expect(watcher.messages).toHaveLength(2));
    await publish(us, OVERSIZED);
    await sleep(200);
    await relay.close();
    await eventually(() =>
      expect(watcher.messages.map(said)).toEqual(['*', '*', '*']),
    );
  });
});
