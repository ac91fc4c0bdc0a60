import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { connectRaw, said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

it('Messages of a source whose services call it otherwise arrive', async () => {
  const [eu, usa] = (await startRegions('eu', 'usa')) as [Region, Region];
  const app = await eu.app({ us: usa });
  const writer = await usa.app();
  for (const id of ['1', '2']) {
    const { offset } = await writer.publisher.invalidate('User', id);
    await app.subscriber.caughtUp(offset!, { region: 'us' });
  }
  expect(app.messages.map(said)).toContain('User:2');
  expect(app.messages.at(-1)).toMatchObject({ region: 'usa', path: ['us'] });
  expect(app.errors).toEqual([]);
});

it('Messages without a region end their way round between regions that misname each other, and an error says so', async () => {
  const [eu, usa] = (await startRegions('eu', 'usa')) as [Region, Region];
  const inEu = await eu.app({ us: usa });
  const inUsa = await usa.app({ europe: eu });
  await eventually(() => {
    expect(inEu.messages.map(said)).toContain('*');
    expect(inUsa.messages.map(said)).toContain('*');
  });
  const stranger = await inEu.publisher.invalidate('Team', 'first');
  await inUsa.subscriber.caughtUp(stranger.offset!, { region: 'europe' });
  const message = {
    message_id: randomUUID(),
    entity_type: 'User',
    entity_id: '1',
    action: 'Delete',
    timestamp: '2026-11-29T00:00:00Z',
    source_service: 'rust',
  };
  await connectRaw(eu.redis.url).publish(eu.channel, JSON.stringify(message));
  const rounds = () =>
    inUsa.messages.map(said).filter((text) => text === 'User:1');
  await eventually(() => expect(rounds()).toHaveLength(3));
  for (const [writer, reader, region] of [
    [inUsa, inEu, 'us'],
    [inEu, inUsa, 'europe'],
  ] as const) {
    const { offset } = await writer.publisher.invalidate('Team', 'last');
    await reader.subscriber.caughtUp(offset!, { region });
  }
  expect(rounds()).toHaveLength(3);
  expect(String(inEu.errors)).toContain('come back from there');
});
