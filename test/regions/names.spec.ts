import { expect, it } from 'vitest';
import { said } from '../support/app.js';
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
  expect(app.messages.at(-1)).toMatchObject({ region: 'usa', path: ['eu'] });
  expect(app.errors).toEqual([]);
});

it('Messages that a source has from elsewhere are reported, once for each region', async () => {
  const [eu, us, ap] = (await startRegions('eu', 'us', 'ap')) as [
    Region,
    Region,
    Region,
  ];
  const inEu = await eu.app({ us });
  const inUs = await us.app({ ap });
  const writer = await ap.app();
  for (const id of ['1', '2']) {
    const { offset } = await writer.publisher.invalidate('User', id);
    await inUs.subscriber.caughtUp(offset!, { region: 'ap' });
  }
  const told = () =>
    inEu.errors.filter(({ message }) => message.includes('born in ap'));
  await eventually(() => expect(told()).toHaveLength(1));
  const { offset } = await inUs.publisher.invalidate('User', 3);
  await inEu.subscriber.caughtUp(offset!, { region: 'us' });
  expect(told()).toHaveLength(1);
  expect(inEu.messages.map(said)).not.toContain('User:1');
});
