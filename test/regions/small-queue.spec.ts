import { expect, it } from 'vitest';
import { journalKey } from '../../lib/transport/index.js';
import { connectRaw } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

const COUNT = 3_000;

it.each([undefined, () => Promise.resolve()])(
  'A queue that is smaller than a page of the journal loses and repeats nothing',
  async (held) => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const writer = await us.app();
    await writer.publisher.invalidate('User', 0);
    const first = await eu.app({ us });
    await eventually(() =>
      expect(first.subscriber.staleness()).toBeLessThan(1_000),
    );
    await first.close();
    const ids = Array.from({ length: COUNT }, (_, at) => at + 1);
    await Promise.all(ids.map((id) => writer.publisher.invalidate('User', id)));
    await eu.app(
      {
        us: {
          connection: us.redis.url,
          ...(held && { held, delay: 60_000 }),
        },
      },
      { queueByteLimit: 65_536 },
    );
    const raw = connectRaw(eu.redis.url);
    await eventually(
      async () => {
        const entries = await raw.xrange(journalKey(eu.channel), '-', '+');
        const heard = entries.map(([, [, payload = '']]) => {
          const { entity_id: id, pattern } = JSON.parse(payload);
          return id ?? pattern;
        });
        expect(heard).toEqual(['*', ...ids.map(String)]);
      },
      { timeout: 15_000 },
    );
  },
);
