import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ForeignMark } from '../../lib/cache/shared/foreign-mark.js';
import { RecordingStore, turn } from './setup.js';

const RENEWAL = 60_000;
const clock = { now: 1_000_000 };
beforeEach(() => {
  clock.now += 1_000_000;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  vi.spyOn(Math, 'random').mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function makeMark() {
  const store = new RecordingStore();
  const write = vi.spyOn(store, 'write');
  const failures: Error[] = [];
  const mark = new ForeignMark({
    store: () => store,
    key: 'near:~foreign:user:',
    ttl: () => 5_000,
    onWriting: (writing) =>
      void writing.catch((error: Error) => failures.push(error)),
  });
  return { store, write, failures, mark };
}

describe('ForeignMark', () => {
  it('is written at the first message, and again a minute later, and outlives its entries', async () => {
    const { mark, write } = makeMark();
    expect(await mark.isLeft()).toBe(false);
    mark.leave();
    mark.leave();
    await turn();
    expect(write.mock.calls).toEqual([['near:~foreign:user:', '1', 65_000]]);
    expect(await mark.isLeft()).toBe(true);
    clock.now += RENEWAL - 1;
    mark.leave();
    mark.renew();
    await turn();
    expect(write).toHaveBeenCalledTimes(1);
    clock.now += 1;
    mark.renew();
    await turn();
    expect(write).toHaveBeenCalledTimes(2);
  });

  it('is not renewed if it was never left', async () => {
    const { mark, write } = makeMark();
    mark.renew();
    await turn();
    expect(write).not.toHaveBeenCalled();
  });

  it('is tried again by itself, at growing distances, until it is written', async () => {
    const { mark, write, failures } = makeMark();
    write.mockRejectedValue(new Error('away'));
    mark.leave();
    await turn();
    expect(failures).toEqual([new Error('away')]);
    for (const [tries, delay] of [
      [2, 75],
      [3, 125],
      [4, 225],
    ] as const) {
      vi.advanceTimersByTime(delay - 1);
      await turn();
      expect(write).toHaveBeenCalledTimes(tries - 1);
      vi.advanceTimersByTime(1);
      await turn();
      expect(write).toHaveBeenCalledTimes(tries);
    }
    write.mockResolvedValueOnce();
    vi.advanceTimersByTime(1_000);
    await turn();
    expect([write.mock.calls.length, vi.getTimerCount()]).toEqual([5, 0]);
    // The next failure begins with the shortest distance again.
    clock.now += RENEWAL;
    mark.leave();
    await turn();
    vi.advanceTimersByTime(75);
    await turn();
    expect(write).toHaveBeenCalledTimes(7);
    mark.close();
  });

  it('is neither left nor tried again once it is closed', async () => {
    const { mark, write } = makeMark();
    write.mockRejectedValue(new Error('away'));
    mark.leave();
    await turn();
    expect(vi.getTimerCount()).toBe(1);
    mark.close();
    expect(vi.getTimerCount()).toBe(0);
    clock.now += RENEWAL;
    mark.leave();
    mark.renew();
    await turn();
    expect(write).toHaveBeenCalledTimes(1);
  });

  it('is not tried again if it was closed during a try', async () => {
    const { mark, write } = makeMark();
    write.mockRejectedValue(new Error('away'));
    mark.leave();
    mark.close();
    await turn();
    expect([write.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
  });

  it('waits for the connection of its store', async () => {
    const store = new RecordingStore();
    let open!: () => void;
    Object.assign(store, {
      opened: new Promise<void>((resolve) => (open = resolve)),
    });
    const mark = new ForeignMark({
      store: () => store,
      key: 'mark',
      ttl: () => 1,
      onWriting: () => {},
    });
    mark.leave();
    const asking = mark.isLeft();
    await turn();
    expect(store.calls).toEqual([]);
    open();
    expect(await asking).toBe(true);
  });
});
