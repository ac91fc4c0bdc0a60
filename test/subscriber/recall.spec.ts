import { expect, it, onTestFinished, vi } from 'vitest';
import { PositionTracker } from '../../lib/subscriber/index.js';
import { RedisTransport } from '../../lib/transport/index.js';
import { connectRaw, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { journalOf } from './setup.js';

it('Recall: reads messages from before positions were tracked again after a failed read', async () => {
  const app = await startApp();
  const { subscriber, publisher, channel, context } = app;
  const tracker = context.get(PositionTracker, { strict: false });
  await publisher.invalidateUser('1');
  const { offset } = await publisher.invalidateUser('2');
  await subscriber.caughtUp(offset!);
  tracker.trackPositions();
  const raw = connectRaw();
  const journal = journalOf(channel);
  const kept = `${journal}:kept`;
  onTestFinished(() => void raw.del(kept, journal));
  await raw.rename(journal, kept);
  await raw.set(journal, 'something else');

  const reading = vi.spyOn(RedisTransport.prototype, 'readJournal');
  onTestFinished(() => reading.mockRestore());
  const recalled = tracker.recall();
  await eventually(() => expect(reading).toHaveBeenCalledTimes(1));
  await expect(reading.mock.results[0]!.value).rejects.toThrow('WRONGTYPE');
  await raw.rename(kept, journal);
  await expect(recalled).resolves.toBeUndefined();
});
