import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { L2Sweeper } from '../../lib/cache/shared/l2-sweeper.js';
import { RecordingStore, turn } from './setup.js';

const LEASE = 'near:~sweep:user:';
const SWEPT = 'near:~swept:user:';

beforeEach(
  () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }),
);
afterEach(() => void vi.useRealTimers());

/** Lets everything happen that needs no more time than this. */
async function pass(ms = 0): Promise<void> {
  await turn();
  vi.advanceTimersByTime(ms);
  await turn();
}

function makeSweeper(names: readonly string[] = [], prefix = 'near:') {
  const store = new RecordingStore();
  for (const name of names) store.stored.set(name, Buffer.from('5-0\nva'));
  const lease = vi.spyOn(store, 'lease');
  const write = vi.spyOn(store, 'write');
  return {
    store,
    lease,
    write,
    sweeper: new L2Sweeper(prefix, 'user:', store),
    left: () => [...store.stored.keys()].filter((name) => !name.includes('~')),
  };
}

describe('L2Sweeper', () => {
  it('takes the lease, removes what the pattern matches, says so, and frees the lease', async () => {
    const { sweeper, store, lease, write } = makeSweeper([
      'near:user:1',
      'near:user:2',
    ]);
    sweeper.add('user:1*', '7-0', true);
    await pass(2);
    expect(store.calls).toEqual([
      `lease ${LEASE}`,
      `get ${SWEPT}`,
      'scan near:user:1*',
      'drop near:user:1 7-0',
      `lease ${LEASE}`,
      `write ${SWEPT} 7-0`,
      `lease ${LEASE}`,
    ]);
    const [holder] = lease.mock.calls.map(([, by]) => by);
    expect(lease.mock.calls).toEqual([
      [LEASE, holder, 10_000],
      [LEASE, holder, 10_000],
      [LEASE, holder, 1],
    ]);
    expect(write.mock.calls).toEqual([[SWEPT, '7-0', 3_600_000]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('removes entries of several patterns in one pass, each if its load began before that pattern', async () => {
    const { sweeper, store } = makeSweeper([
      'near:user:1',
      'near:user:12',
      'near:user:3',
      'near:users:1',
    ]);
    sweeper.add('user:1*', '7-0', true);
    sweeper.add('*2', '8-0', true);
    await pass(2);
    expect(store.of('scan')).toEqual(['scan near:user:*']);
    expect(store.of('drop')).toEqual([
      'drop near:user:1 7-0',
      'drop near:user:12 7-0',
      'drop near:user:12 8-0',
    ]);
    expect(store.calls).toContain(`write ${SWEPT} 8-0`);
  });

  it('spares names of other entity types, and takes special characters of its prefix as they are', async () => {
    const names = ['n*r:user:1', 'n*r:post:1', 'near:user:1'];
    const { sweeper, store, left } = makeSweeper(names, 'n*r:');
    sweeper.add('*', '7-0', true);
    await pass(2);
    expect(store.of('scan')).toEqual(['scan n\\*r:*']);
    expect(left()).toEqual(['n*r:post:1', 'near:user:1']);
    sweeper.add('user:1', '8-0', true);
    sweeper.add('user:2', '8-0', true);
    await pass(2);
    expect(store.of('scan')).toContain('scan n\\*r:user:*');
  });

  it('lets 100 patterns wait, and makes one for everything of more', async () => {
    for (const [count, scanned] of [
      [100, 'scan near:user:*'],
      [101, 'scan near:*'],
    ] as const) {
      const { sweeper, store } = makeSweeper(['near:user:x']);
      for (let at = 1; at <= count; at++)
        sweeper.add(`user:${at}`, `${at}-0`, true);
      await pass(2);
      expect(store.of('scan')).toEqual([scanned]);
      expect(store.of('drop')).toEqual(
        count === 101 ? ['drop near:user:x 101-0'] : [],
      );
    }
  });

  it('sweeps once at a time, and patterns that come meanwhile afterwards', async () => {
    const { sweeper, store } = makeSweeper(['near:user:1', 'near:user:2']);
    sweeper.add('user:1', '7-0', true);
    await turn();
    sweeper.add('user:2', '8-0', true);
    expect(store.of('drop')).toEqual(['drop near:user:1 7-0']);
    for (let at = 0; at < 3; at++) await pass(2);
    expect(store.of('scan')).toEqual(['scan near:user:1', 'scan near:user:2']);
    expect(store.of('drop')).toEqual([
      'drop near:user:1 7-0',
      'drop near:user:2 8-0',
    ]);
    sweeper.add('user:3', '9-0', true);
    await pass(2);
    expect(store.of('scan')).toHaveLength(3);
  });

  it('pauses after each page, for others', async () => {
    const { sweeper, store } = makeSweeper();
    const pages = [['near:user:1'], ['near:user:2']];
    vi.spyOn(store, 'scan').mockImplementation(async function* () {
      yield* pages;
    });
    sweeper.add('user:*', '7-0', true);
    await pass(1);
    expect(store.of('drop')).toEqual(['drop near:user:1 7-0']);
    await pass(1);
    expect(store.of('drop')).toHaveLength(2);
    await pass(2);
    expect(store.calls).toContain(`write ${SWEPT} 7-0`);
  });

  it('waits half a lease while another instance sweeps, and forgets what that one has swept', async () => {
    const { sweeper, store } = makeSweeper(['near:user:1']);
    store.stored.set(LEASE, Buffer.from('another one'));
    sweeper.add('user:1', '7-0', true);
    await pass(4_999);
    expect(store.calls).toEqual([`lease ${LEASE}`]);
    store.stored.set(SWEPT, Buffer.from('7-0'));
    await pass(1);
    expect(store.calls).toEqual([`lease ${LEASE}`, `get ${SWEPT}`]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('sweeps itself once the other instance has died', async () => {
    const { sweeper, store, left } = makeSweeper(['near:user:1']);
    store.stored.set(LEASE, Buffer.from('another one'));
    sweeper.add('user:1', '7-0', true);
    await pass();
    store.stored.delete(LEASE);
    await pass(5_000);
    await pass(2);
    expect(left()).toEqual([]);
  });

  it.each<[string, string, boolean, boolean]>([
    ['an earlier one', '6-9', true, false],
    ['an earlier one without an offset of its own', '6-9', false, false],
    ['that one', '7-0', true, false],
    ['one without an offset of its own, at the same limit', '7-0', false, true],
    ['a later one', '7-1', true, true],
  ])(
    'after a sweep up to an offset sweeps again or not: %s',
    async (_, before, exact, sweeps) => {
      const { sweeper, store, lease } = makeSweeper();
      store.stored.set(SWEPT, Buffer.from('7-0'));
      sweeper.add('user:1', before, exact);
      await pass(2);
      expect(store.of('scan')).toHaveLength(sweeps ? 1 : 0);
      expect(store.stored.get(SWEPT)!.toString()).toBe(sweeps ? before : '7-0');
      // The lease is free again either way.
      expect(lease.mock.lastCall).toEqual([LEASE, expect.any(String), 1]);
    },
  );

  it('does not say that it has swept if another instance has taken over meanwhile', async () => {
    const { sweeper, store } = makeSweeper(['near:user:1']);
    sweeper.add('user:1', '7-0', true);
    await turn();
    store.stored.set(LEASE, Buffer.from('another one'));
    await pass(2);
    expect(store.of('drop')).toHaveLength(1);
    expect(store.stored.has(SWEPT)).toBe(false);
    store.stored.set(SWEPT, Buffer.from('7-0'));
    await pass(5_000);
    expect(store.of('scan')).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('tries again half a lease after Redis failed', async () => {
    const { sweeper, lease, left } = makeSweeper(['near:user:1']);
    lease.mockRejectedValueOnce(new Error('away'));
    sweeper.add('user:1', '7-0', true);
    await pass(4_999);
    expect(lease).toHaveBeenCalledTimes(1);
    await pass(1);
    await pass(2);
    expect(left()).toEqual([]);
  });

  it('stops at once when it is closed, in a pause or in a sweep', async () => {
    for (const isOther of [true, false]) {
      const { sweeper, store, lease } = makeSweeper(['near:user:1']);
      if (isOther) store.stored.set(LEASE, Buffer.from('another one'));
      sweeper.add('user:1', '7-0', true);
      await turn();
      expect(vi.getTimerCount()).toBe(1);
      sweeper.close();
      expect(vi.getTimerCount()).toBe(0);
      await pass(10_000);
      expect(lease).toHaveBeenCalledTimes(1);
      expect(store.calls.join()).not.toContain('write');
      sweeper.add('user:2', '8-0', true);
      await pass(10_000);
      expect(lease).toHaveBeenCalledTimes(1);
    }
  });

  it('does not pause once it is closed', async () => {
    const { sweeper, lease } = makeSweeper();
    lease.mockRejectedValue(new Error('away'));
    sweeper.add('user:1', '7-0', true);
    sweeper.close();
    await turn();
    expect(vi.getTimerCount()).toBe(0);
    expect(lease).toHaveBeenCalledTimes(1);
  });
});
