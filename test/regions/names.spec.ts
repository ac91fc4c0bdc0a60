import { expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

it('A source whose services call it otherwise is reported, once', async () => {
  const [eu, usa] = (await startRegions('eu', 'usa')) as [Region, Region];
  const app = await eu.app({ us: usa });
  const writer = await usa.app();
  await writer.publisher.invalidate('User', 1);
  await writer.publisher.invalidate('User', 2);
  const told = () =>
    app.errors.filter(({ message }) => message.includes('born in usa'));
  await eventually(() => expect(told()).toHaveLength(1));
  await writer.publisher.invalidate('User', 3);
  await expect(
    app.subscriber.caughtUp(
      (await writer.publisher.invalidate('User', 4)).offset!,
      {
        region: 'us',
      },
    ),
  ).resolves.toBeUndefined();
  expect(told()).toHaveLength(1);
});
