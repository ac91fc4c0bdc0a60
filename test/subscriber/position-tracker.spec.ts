import { describe, expect, it, vi } from 'vitest';
import { InvalidationSerializationError } from '../../lib/errors/index.js';
import { entity } from '../../lib/message/index.js';
import { breathe, stopTime } from './clock.js';
import { journal, makeInstance } from './parts.js';

/** The position of an instance on a journal with this many messages. */
function makeTracker(count = 0) {
  const made = makeInstance();
  for (let id = 1; id <= count; id++) journal(made.transport, id);
  return made;
}

/** Whether each promise has settled by now, and how. */
async function outcomes(...promises: Promise<unknown>[]): Promise<string[]> {
  const seen = promises.map(() => 'waits');
  for (const [index, promise] of promises.entries()) {
    promise.then(
      () => (seen[index] = 'done'),
      (error: Error) => (seen[index] = error.message),
    );
  }
  await breathe();
  return seen;
}

describe('PositionTracker: the position', () => {
  it('is unknown at first, and at the start of an empty journal', () => {
    const { tracker, receiver } = makeTracker();
    expect(tracker.position).toBeNull();
    receiver.cursor.begin('0-0');
    expect(tracker.position).toBeNull();
    receiver.cursor.begin('1-0');
    expect(tracker.position).toBe('1-0');
  });
});

describe('PositionTracker.reached()', () => {
  it('resolves at once up to the position, and later beyond it', async () => {
    const { tracker, receiver } = makeTracker();
    receiver.cursor.begin('5-0');
    const waits = ['4-0', '5-0', '6-0'].map((offset) =>
      tracker.reached(offset, 1_000),
    );
    expect(await outcomes(...waits)).toEqual(['done', 'done', 'waits']);
    receiver.cursor.begin('6-0');
    tracker.moved(true);
    expect(await outcomes(...waits)).toEqual(['done', 'done', 'done']);
  });

  it('waits while no position is known', async () => {
    const { tracker, receiver } = makeTracker();
    const wait = tracker.reached('1-0', 1_000);
    tracker.moved(true);
    expect(await outcomes(wait)).toEqual(['waits']);
    receiver.cursor.begin('1-0');
    tracker.moved(false);
    expect(await outcomes(wait)).toEqual(['done']);
  });

  it('rejects an offset that no message can have yet', async () => {
    const { tracker } = makeTracker();
    await expect(tracker.reached('99999999999999-0', 1_000)).rejects.toThrow(
      new InvalidationSerializationError(
        'That offset lies in the future: no message can have it yet.',
        'Give the offset of a receipt, unchanged; if it is one, correct the clocks of the servers.',
      ),
    );
  });

  it('resolves when everything was evicted, and rejects at the end', async () => {
    const { tracker } = makeTracker();
    const first = tracker.reached('1-0', 1_000);
    tracker.widened();
    expect(await outcomes(first)).toEqual(['done']);
    const second = tracker.reached('1-0', 1_000);
    tracker.close();
    expect(await outcomes(second)).toEqual([
      'The application shuts down. Ask another instance.',
    ]);
  });
});

describe('PositionTracker: earlier positions', () => {
  it('are remembered once they are tracked', async () => {
    const { tracker, receiver, transport, stream, instance } = makeTracker(1);
    receiver.cursor.begin('1-0');
    tracker.moved(true);
    expect(tracker.fenceAt('1-0')).toBeNull();
    tracker.trackPositions();
    receiver.receive(journal(transport, 2));
    const [first, second] = [tracker.fenceAt('1-0'), tracker.fenceAt('2-0')];
    const now = tracker.fence();
    stream.deliver({ ...instance.stamp(entity('User', 3)), own: false });

    expect(first!.holds('user:1')).toBe(true);
    expect(first!.holds('user:2')).toBe(false);
    expect(second!.holds('user:2')).toBe(true);
    expect(second!.holds('user:3')).toBe(false);
    expect(now.holds('user:3')).toBe(false);
    expect(now.holds('user:2')).toBe(true);
    // The first one was not received, but found.
    expect(first!.recalled).toBe(true);
    expect(second!.recalled).toBe(false);
    tracker.moved(false);
    expect(tracker.fenceAt('3-0')).toBeNull();
  });

  it.each([
    ['nothing was published', null, 0, null, false],
    ['all own messages came back', '2-0', 0, '2-0', false],
    ['a later message came since', '2-0', 0, '3-0', false],
    ['the last own message did not come back', '2-0', 0, '1-0', true],
    ['no position is known', '2-0', 0, null, true],
    ['own messages wait for Redis', null, 1, null, true],
  ])(
    'may come after own messages that were delivered before: %s',
    (_, lastOffset, pending, position, early) => {
      const { tracker, receiver, queue, stream } = makeTracker();
      vi.spyOn(queue, 'lastOffset', 'get').mockReturnValue(lastOffset);
      vi.spyOn(queue, 'pending', 'get').mockReturnValue(pending);
      if (position !== null) receiver.cursor.begin(position);
      const track = vi.spyOn(stream.fences, 'trackPositions');
      tracker.trackPositions();
      tracker.trackPositions();
      expect(track.mock.calls).toEqual([[early]]);
      expect(stream.fences.firstPosition).toBe(position);
    },
  );

  it('do not begin at the start of an empty journal, where two journals look alike', () => {
    const { tracker, receiver, stream } = makeTracker();
    receiver.cursor.begin('0-0');
    tracker.trackPositions();
    tracker.moved(false);
    expect(stream.fences.firstPosition).toBeNull();
    expect(tracker.fenceAt('0-0')).toBeNull();
    expect(stream.fences.takenAt('0-0')).toBeNull();
  });

  it('are not remembered while nobody needs them', () => {
    const { tracker, receiver, stream } = makeTracker();
    receiver.cursor.begin('1-0');
    const reached = vi.spyOn(stream.fences, 'reached');
    tracker.moved(true);
    expect(reached).not.toHaveBeenCalled();
    tracker.trackPositions();
    tracker.moved(true);
    expect(reached.mock.calls).toEqual([
      ['1-0', false],
      ['1-0', true],
    ]);
  });

  it.each([
    ['the position is known', '1-0', true, false, ['1-0']],
    ['no message is early', '1-0', false, false, []],
    ['no position is known', null, true, false, []],
    ['messages are held', '1-0', true, true, []],
  ])('settle early messages: %s', (_, position, early, held, at) => {
    const { tracker, receiver, stream, queue } = makeTracker();
    vi.spyOn(stream.fences, 'early', 'get').mockReturnValue(early);
    const settle = vi.spyOn(stream.fences, 'settleEarly').mockReturnValue();
    if (position !== null) receiver.cursor.begin(position);
    if (held) receiver.cursor.doubt();
    tracker.fenceAt('1-0');
    expect(settle.mock.calls).toEqual(at.map((offset) => [queue, offset]));
  });

  it('settle early messages when the position moves', () => {
    const { tracker, receiver, stream } = makeTracker();
    tracker.trackPositions();
    receiver.cursor.begin('1-0');
    vi.spyOn(stream.fences, 'early', 'get').mockReturnValue(true);
    const settle = vi.spyOn(stream.fences, 'settleEarly').mockReturnValue();
    tracker.moved(false);
    expect(settle).toHaveBeenCalledTimes(1);
  });
});

describe('PositionTracker.isInJournal()', () => {
  it('knows the end of the journal, and reads for any other offset', async () => {
    const { tracker, receiver, transport } = makeTracker(2);
    receiver.horizon.sawTail('2-0');
    const read = vi.spyOn(transport, 'readJournal');
    expect(await tracker.isInJournal('2-0')).toBe(true);
    expect(read).not.toHaveBeenCalled();
    const both = [tracker.isInJournal('1-0'), tracker.isInJournal('1-0')];
    expect(await Promise.all(both)).toEqual([true, true]);
    expect(read).toHaveBeenCalledTimes(1);
    expect(await tracker.isInJournal('3-0')).toBe(false);
  });

  it('is false at the end, whatever is waited for', async () => {
    stopTime();
    const { tracker, transport } = makeTracker(2);
    transport.silent = true;
    const asked = tracker.isInJournal('1-0');
    await breathe();
    tracker.close();
    expect(await asked).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is false where Redis does not answer in time', async () => {
    stopTime();
    const { tracker, transport } = makeTracker(2);
    transport.silent = true;
    const asked = tracker.isInJournal('1-0');
    await vi.advanceTimersByTimeAsync(20);
    expect(await asked).toBe(false);
  });
});

describe('PositionTracker: foreign messages', () => {
  it('are told of, also where nobody listens', () => {
    const { tracker } = makeTracker();
    expect(tracker.foreign).toBe(false);
    tracker.foreignReceived();
    expect(tracker.foreign).toBe(true);
    const listener = vi.fn<() => void>();
    tracker.whenForeign(listener);
    tracker.foreignReceived();
    tracker.foreignReceived();
    expect(listener).toHaveBeenCalledTimes(2);
  });
});

describe('PositionTracker: the bypass', () => {
  it('is that of the staleness', () => {
    const { tracker, staleness } = makeTracker();
    expect(tracker.bypass).toBe(true);
    staleness.serve();
    expect(tracker.bypass).toBe(false);
  });
});

describe('PositionTracker.recall()', () => {
  it('reads the messages from before once the subscription is live, and once', async () => {
    const { tracker, receiver, transport, status } = makeTracker(3);
    receiver.cursor.begin('3-0');
    tracker.trackPositions();
    const read = vi.spyOn(transport, 'readJournal');
    status.connecting();
    const recalled = tracker.recall();
    expect(await outcomes(recalled)).toEqual(['waits']);
    expect(read).not.toHaveBeenCalled();
    status.live(null);
    await recalled;
    await tracker.recall();
    expect(read).toHaveBeenCalledTimes(1);
    expect(tracker.fenceAt('2-0')!.holds('user:2')).toBe(true);
    expect(tracker.fenceAt('2-0')!.holds('user:3')).toBe(false);
    expect(tracker.fenceAt('2-0')!.recalled).toBe(true);
  });

  it('reads nothing where there was no position', async () => {
    const { tracker, transport, status } = makeTracker(3);
    tracker.trackPositions();
    const read = vi.spyOn(transport, 'readJournal');
    status.live(null);
    await tracker.recall();
    expect(read).not.toHaveBeenCalled();
  });

  it('ends with the subscription', async () => {
    const { tracker, receiver, transport, status } = makeTracker(3);
    receiver.cursor.begin('3-0');
    tracker.trackPositions();
    const read = vi.spyOn(transport, 'readJournal');
    const recalled = tracker.recall();
    status.shutDown();
    await recalled;
    expect(read).not.toHaveBeenCalled();
  });

  it('tries again after a failure, with a timer that keeps no process alive', async () => {
    const { tracker, receiver, transport, status } = makeTracker(3);
    receiver.cursor.begin('3-0');
    tracker.trackPositions();
    status.live(null);
    const read = vi.spyOn(transport, 'readJournal');
    read.mockRejectedValueOnce(new Error('WRONGTYPE'));
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout')
        .length;
    const before = timers();
    const recalled = tracker.recall();
    expect(await outcomes(recalled)).toEqual(['waits']);
    expect(read).toHaveBeenCalledTimes(1);
    expect(timers()).toBeLessThanOrEqual(before);
    await recalled;
    expect(read).toHaveBeenCalledTimes(2);
    expect(tracker.fenceAt('2-0')!.holds('user:3')).toBe(false);
  });
});
