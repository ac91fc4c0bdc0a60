import { describe, expect, it, vi } from 'vitest';
import {
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { ErrorReporter, type PublishProgress } from '../../lib/stream/index.js';
import { AcknowledgedMessages } from '../../lib/subscriber/index.js';
import { ScriptedTransport } from '../support/scripted.transport.js';
import { breathe, errorOf, stopTime } from './clock.js';

/** Own messages, and a journal that has entries at these offsets. */
function makeAcknowledged(...offsets: string[]) {
  const transport = new ScriptedTransport();
  transport.channel.journal = offsets.map((offset) => ({
    offset,
    payload: '',
  }));
  const read = vi.spyOn(transport, 'readJournal');
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  const progress = { lastOffset: null as string | null };
  const acknowledged = new AcknowledgedMessages(
    { heartbeatTimeout: 20 },
    transport,
    progress as PublishProgress,
    reporter,
  );
  /** Offsets that were looked for since the last call. */
  const lookedFor = (): string[] =>
    read.mock.calls.splice(0).map(([offset]) => offset);
  /** Redis has taken a message, perhaps by another server than the one before. */
  const doubt = (offset: string | null): void => {
    progress.lastOffset = offset;
    acknowledged.doubt();
  };
  return { acknowledged, transport, errors, lookedFor, doubt };
}

describe('AcknowledgedMessages', () => {
  it('are none where nothing was published', async () => {
    const { acknowledged, lookedFor, doubt } = makeAcknowledged();
    doubt(null);
    acknowledged.journalBroke();
    expect(await acknowledged.confirm(null, null)).toBe(false);
    expect(lookedFor()).toEqual([]);
  });

  it('are the last one alone where none was published or echoed before', async () => {
    const { acknowledged, lookedFor, doubt } = makeAcknowledged('1-0');
    doubt(null);
    acknowledged.journalBroke();
    expect(await acknowledged.confirm('1-0', null)).toBe(false);
    expect(lookedFor()).toEqual(['1-0']);
  });

  it('are looked for once', async () => {
    const { acknowledged, errors, lookedFor } = makeAcknowledged('1-0');
    expect(await acknowledged.confirm('1-0', null)).toBe(false);
    expect(lookedFor()).toEqual(['1-0']);
    expect(await acknowledged.confirm('1-0', null)).toBe(false);
    expect(lookedFor()).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('may be lost when the journal does not have them, which is reported once', async () => {
    const { acknowledged, errors } = makeAcknowledged('1-0');
    expect(await acknowledged.confirm('2-0', '1-0')).toBe(true);
    expect(errors).toEqual([
      new InvalidationRedisError(
        'Redis may have lost invalidations that it had accepted, in a failover or a restart.',
        'Every instance evicts everything instead.',
      ),
    ]);
    expect(await acknowledged.confirm('2-0', '1-0')).toBe(false);
    expect(errors).toHaveLength(1);
  });

  it('are there if they came back on the way to a position that the journal has', async () => {
    const { acknowledged, lookedFor } = makeAcknowledged();
    acknowledged.echoed('5-0');
    expect(await acknowledged.confirm('5-0', '5-0')).toBe(false);
    expect(lookedFor()).toEqual([]);
  });

  it.each([
    ['did not come back yet', '4-0', '6-0'],
    ['came back after that position', '5-0', '4-0'],
    ['came back, but no position was found', '5-0', null],
    ['never came back', null, '6-0'],
  ])('are looked for if they %s', async (_, echo, began) => {
    const { acknowledged, lookedFor } = makeAcknowledged('5-0');
    if (echo !== null) acknowledged.echoed(echo);
    expect(await acknowledged.confirm('5-0', began)).toBe(false);
    expect(lookedFor()).toEqual(['5-0']);
  });

  it('are looked for with the last echo when the journal broke, and once', async () => {
    const { acknowledged, lookedFor } = makeAcknowledged('4-0', '5-0');
    acknowledged.echoed('4-0');
    acknowledged.journalBroke();
    expect(await acknowledged.confirm('5-0', '5-0')).toBe(false);
    expect(lookedFor()).toEqual(['5-0', '4-0']);
    expect(await acknowledged.confirm('5-0', '5-0')).toBe(false);
    expect(lookedFor()).toEqual([]);
  });

  it('are lost if the journal lost the last echo, though it has a later one', async () => {
    const { acknowledged } = makeAcknowledged('5-0');
    acknowledged.echoed('4-0');
    acknowledged.journalBroke();
    expect(await acknowledged.confirm('5-0', '5-0')).toBe(true);
  });

  it('that were confirmed count as echoed: the journal may lose them later', async () => {
    const { acknowledged, lookedFor } = makeAcknowledged('5-0');
    await acknowledged.confirm('5-0', null);
    acknowledged.journalBroke();
    lookedFor();
    expect(await acknowledged.confirm('6-0', null)).toBe(true);
    expect(lookedFor()).toEqual(['6-0']);
    acknowledged.journalBroke();
    expect(await acknowledged.confirm('7-0', null)).toBe(true);
  });

  it('from before a lost connection are looked for, although later ones are there', async () => {
    const { acknowledged, lookedFor, doubt } = makeAcknowledged('3-0', '7-0');
    doubt('3-0');
    doubt('3-0');
    doubt('5-0');
    expect(await acknowledged.confirm('7-0', null)).toBe(true);
    // The first missing one is enough.
    expect(lookedFor()).toEqual(['3-0', '5-0']);
    expect(await acknowledged.confirm('7-0', null)).toBe(false);
    expect(lookedFor()).toEqual([]);
  });

  it('from before a lost connection are there if they came back before a found position', async () => {
    const { acknowledged, lookedFor, doubt } = makeAcknowledged('7-0');
    doubt('3-0');
    acknowledged.echoed('4-0');
    expect(await acknowledged.confirm('7-0', '4-0')).toBe(false);
    expect(lookedFor()).toEqual(['7-0']);
  });

  it('count as lost, unread, where more than a hundred are in doubt', async () => {
    const offsets = Array.from({ length: 103 }, (_, n) => `${n + 1}-0`);
    const { acknowledged, lookedFor, doubt } = makeAcknowledged(...offsets);
    const last = offsets.at(-1)!;
    for (const offset of offsets.slice(0, 99)) doubt(offset);
    expect(await acknowledged.confirm(last, null)).toBe(false);
    expect(lookedFor()).toHaveLength(100);

    for (const offset of offsets.slice(0, 102)) doubt(offset);
    expect(await acknowledged.confirm(last, null)).toBe(true);
    expect(lookedFor()).toEqual([]);
  });

  it('are remembered up to the number from which on they count as lost', async () => {
    const { acknowledged, doubt, lookedFor } = makeAcknowledged();
    const set = vi.spyOn(Set.prototype, 'add');
    for (let n = 1; n <= 200; n++) doubt(`${n}-0`);
    const added = set.mock.calls.length;
    set.mockRestore();
    expect(added).toBe(101);
    expect(await acknowledged.confirm('200-0', null)).toBe(true);
    expect(lookedFor()).toEqual([]);
  });

  it('stay in doubt when they cannot be looked up', async () => {
    const { acknowledged, transport, lookedFor, doubt } = makeAcknowledged();
    doubt('3-0');
    acknowledged.echoed('4-0');
    acknowledged.journalBroke();
    vi.mocked(transport.readJournal).mockRejectedValueOnce(new Error('away'));
    await expect(acknowledged.confirm('5-0', '5-0')).rejects.toThrow('away');
    lookedFor();
    expect(await acknowledged.confirm('5-0', '5-0')).toBe(true);
    expect(lookedFor()).toEqual(['3-0']);
  });

  it('are waited for as long as heartbeatTimeout, or until that is of no use', async () => {
    stopTime();
    const { acknowledged, transport } = makeAcknowledged('5-0');
    transport.silent = true;
    const late = errorOf(acknowledged.confirm('5-0', null));
    await vi.advanceTimersByTimeAsync(20);
    expect(String(await late)).toContain(
      'Redis has not answered a reading of the journal for 20 ms.',
    );
    const ended = errorOf(acknowledged.confirm('5-0', null));
    await breathe();
    acknowledged.cancel();
    expect(String(await ended)).toContain('Redis did not answer in time.');
  });
});
