import { expect, it } from 'vitest';
import { said } from '../support/app.js';
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
