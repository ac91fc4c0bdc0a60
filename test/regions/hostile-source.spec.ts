import { expect, it } from 'vitest';
import { journalKey } from '../../lib/transport/index.js';
import { connectRaw, said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from './regions.js';

it.each(['é'.repeat(36), '"'.repeat(36), '\\'.repeat(36)])(
  'An origin that is no UUID does not spoil the journal: %s',
  async (origin) => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const app = await eu.app({ us });
    await eventually(() =>
      expect(app.subscriber.staleness()).toBeLessThan(1_000),
    );
    await connectRaw(us.redis.url).publish(
      us.channel,
      JSON.stringify({
        message_id: '0b4f1a3e-27c8-4dc4-9f6b-52d2f5f0a111',
        entity_type: 'User',
        entity_id: '1',
        action: 'Delete',
        timestamp: '2026-11-29T00:00:00Z',
        source_service: 'rust',
        origin,
      }),
    );
    await eventually(() =>
      expect(app.messages.map(said)).toEqual(['*', 'User:1']),
    );
    const entries = await connectRaw(eu.redis.url).xrange(
      journalKey(eu.channel),
      '-',
      '+',
    );
    for (const [offset, [, payload = '']] of entries) {
      expect(JSON.parse(payload)).toMatchObject({ offset });
    }
  },
);
