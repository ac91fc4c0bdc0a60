import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidationConfigurationError } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { journalKey } from '../../lib/transport/index.js';
import { connectRaw, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegion, startRegions, type Region } from './regions.js';

/** Long enough for hundreds of circles. */
const WHILE = 500;

const lengthOf = ({ redis, channel }: Region) =>
  connectRaw(redis.url).xlen(journalKey(channel));

const told = (...apps: TestApp[]) =>
  eventually(() =>
    expect(apps.flatMap(({ errors }) => errors)).toContainEqual(
      expect.any(InvalidationConfigurationError),
    ),
  );

describe('Messages in circles', () => {
  it('end where a region is its own source by another name', async () => {
    const eu = await startRegion('eu');
    const app = await eu.app({ us: eu });
    await told(app);
    // A service without regions: its messages count as born in the source.
    const plain = await eu.app({}, { regions: undefined });
    await plain.publisher.invalidate('User', 1);
    await sleep(WHILE);
    expect(await lengthOf(eu)).toBeLessThanOrEqual(4);
  });

  it('end where two regions have one name', async () => {
    const [one, two] = (await startRegions('eu', 'eu')) as [Region, Region];
    const app = await one.app({ us: two });
    const other = await two.app({ us: one });
    await told(app, other);
    await sleep(WHILE);
    expect(await lengthOf(one)).toBeLessThanOrEqual(4);
    expect(await lengthOf(two)).toBeLessThanOrEqual(4);
  });
});
