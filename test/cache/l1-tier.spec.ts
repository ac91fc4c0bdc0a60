import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DependencyGuard } from '../../lib/cache/dependencies.js';
import { loopBudget } from '../../lib/cache/loop-budget.js';
import { L1Tier } from '../../lib/cache/near/l1-tier.js';
import {
  LruEntry,
  LruMap,
  type LruVisit,
} from '../../lib/cache/near/lru-map.js';
import { Sweep } from '../../lib/cache/near/sweep.js';

/** Number of entries from which on a sweep goes in steps. */
const LARGE = 1_000;

/** The clock, which stands still unless a test moves it. */
const clock = { now: 0, step: 0 };

beforeEach(() => {
  Object.assign(clock, { now: clock.now + 1_000_000, step: 0 });
  vi.spyOn(performance, 'now').mockImplementation(() => {
    clock.now += clock.step;
    return clock.now;
  });
});
afterEach(async () => {
  // Ends the sweeps of a test: one step has a turn.
  clock.step = 0;
  for (let at = 0; at < 5; at++) await turn();
  vi.restoreAllMocks();
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function tierOf(count: number): L1Tier<number> {
  const tier = new L1Tier<number>(10_000, 'user:');
  for (let id = 0; id < count; id++) tier.set(String(id), id, 1e9);
  return tier;
}

describe('L1Tier', () => {
  it.each([0, 1])('expires an entry that was stored at the time %d', (now) => {
    const tier = new L1Tier<string>(10, 'user:');
    clock.now = now;
    tier.set('1', 'a', 50);
    clock.now = now + 49;
    expect(tier.get('1')?.value).toBe('a');
    clock.now = now + 100;
    expect(tier.get('1')).toBeUndefined();
    expect(tier.peek('1')).toBeUndefined();
  });

  it('evicts the least recently used entry: get() is a use, peek() is none', () => {
    const tier = new L1Tier<number>(2, 'user:');
    tier.set('1', 1, 1e9);
    tier.set('2', 2, 1e9);
    tier.get('1');
    tier.peek('2');
    tier.set('3', 3, 1e9);
    expect(['1', '2', '3'].filter((id) => tier.peek(id))).toEqual(['1', '3']);
    expect(tier.size).toBe(2);
  });

  it('evicts one entry by its name, and those that a pattern matches', () => {
    const tier = tierOf(20);
    tier.delete('5');
    tier.deleteMatching('user:1*');
    tier.deleteMatching('post:*');
    tier.deleteMatching('*r:3');
    tier.deleteMatching('[u]ser:[0-9]r:4');
    expect(tier.size).toBe(20 - 1 - 11 - 1);
    expect(tier.get('12')).toBeUndefined();
    expect(tier.get('2')?.value).toBe(2);
    tier.deleteMatching('*');
    expect(tier.size).toBe(0);
  });

  it('hides matching entries before a sweep has reached them, and removes one that is read', () => {
    const tier = tierOf(LARGE);
    tier.deleteMatching('user:7');
    expect(tier.size).toBe(LARGE);
    expect(tier.peek('7')).toBeUndefined();
    expect(tier.size).toBe(LARGE - 1);
    expect(tier.peek('8')?.value).toBe(8);
  });

  it('keeps an entry stored after the pattern, and hides it at the next one', async () => {
    const tier = tierOf(LARGE);
    tier.deleteMatching('user:7');
    tier.set('7', 70, 1e9);
    expect(tier.get('7')?.value).toBe(70);
    tier.deleteMatching('user:7');
    expect(tier.get('7')).toBeUndefined();
    for (let at = 0; at < 4; at++) await turn();
    tier.set('7', 71, 1e9);
    expect(tier.get('7')?.value).toBe(71);
  });

  it('does not serve an entry whose guard no longer holds, with or without a sweep', () => {
    let holds = true;
    const fence = { holds: () => holds };
    const guard = (): DependencyGuard =>
      new DependencyGuard(['post:1'], fence, () => fence);
    const tier = tierOf(LARGE);
    for (const isSwept of [false, true]) {
      holds = true;
      tier.set('a', 1, 1e9, guard());
      if (isSwept) tier.deleteMatching('user:7');
      expect(tier.get('a')?.value).toBe(1);
      holds = false;
      expect(tier.get('a')).toBeUndefined();
      holds = true;
      expect(tier.peek('a')).toBeUndefined();
    }
  });

  it('ends a sweep when it is cleared, and sweeps entries stored since for later patterns only', async () => {
    const tier = tierOf(LARGE);
    tier.deleteMatching('user:7');
    tier.clear();
    expect(tier.size).toBe(0);
    for (let id = 0; id < LARGE; id++) tier.set(String(id), id, 1e9);
    expect(tier.get('7')?.value).toBe(7);
    clock.step = 2;
    tier.deleteMatching('user:8');
    await turn();
    // A step of the former sweep would have ended this one.
    expect(tier.get('8')).toBeUndefined();
    expect(tier.get('7')?.value).toBe(7);
  });

  it('is cleared at once by a pattern that matches all entries, and by too many patterns', () => {
    const tier = tierOf(LARGE);
    tier.deleteMatching('user:*');
    expect(tier.size).toBe(0);
    for (let id = 0; id < LARGE; id++) tier.set(String(id), id, 1e9);
    for (let at = 0; at < 1_000; at++) tier.deleteMatching(`user:x${at}`);
    expect(tier.size).toBe(LARGE);
    tier.deleteMatching('user:x');
    expect(tier.size).toBe(0);
  });

  it('sweeps an emptied cache again after it was cleared', () => {
    const tier = tierOf(1);
    tier.delete('0');
    tier.clear();
    tier.set('1', 1, 1e9);
    tier.deleteMatching('user:?');
    expect(tier.size).toBe(0);
  });
});

/** A map of names, of whichever size it claims to be, that counts visited entries. */
class Names extends LruMap<NameEntry> {
  listed = 0;
  passes = 0;

  constructor(
    names: Iterable<string>,
    private readonly claimed: number,
    sweeps = 0,
  ) {
    super(1e9);
    for (const name of names) this.set(new NameEntry(name, sweeps));
  }

  override get size(): number {
    return this.claimed;
  }

  override visit(): LruVisit<NameEntry> {
    this.passes++;
    const visit = super.visit();
    const next = visit.next.bind(visit);
    return Object.assign(visit, {
      next: () => {
        const entry = next();
        if (entry !== null) this.listed++;
        return entry;
      },
    });
  }

  get names(): string[] {
    const names: string[] = [];
    const visit = super.visit();
    for (let at = visit.next(); at !== null; at = visit.next()) {
      // The places of a sweep's visit are no entries.
      if (at instanceof LruEntry) names.push(at.name);
    }
    visit.end();
    return names;
  }
}

class NameEntry extends LruEntry {
  constructor(
    name: string,
    readonly sweeps: number,
  ) {
    super(name, Infinity);
  }
}

function sweepOf(names: Names) {
  const done = vi.fn();
  const tooMuch = vi.fn();
  return { sweep: new Sweep(names, done, tooMuch), done, tooMuch };
}

function numbered(count: number, length = 2): string[] {
  return Array.from({ length: count }, (_, at) =>
    String.fromCodePoint(0x1_00 + at).padEnd(length, 'x'),
  );
}

const broom = { isAffected: (): boolean => false, weight: 0, number: 1 };

describe('Sweep', () => {
  it('sweeps a cache of fewer than 1,000 entries at once, and a larger one later', async () => {
    const [small, large] = [999, LARGE].map((size) => new Names(['a'], size));
    const isAffected = (): boolean => true;
    for (const names of [small!, large!]) {
      sweepOf(names).sweep.add({ ...broom, isAffected });
    }
    expect([small!.names.length, large!.names.length]).toEqual([0, 1]);
    await turn();
    expect(large!.names.length).toBe(0);
  });

  it('sweeps a small cache later if the time of this window is used up', async () => {
    loopBudget.left(clock.now);
    loopBudget.spend(20);
    const names = new Names(['a'], 1);
    const { sweep, done } = sweepOf(names);
    sweep.add({ ...broom, isAffected: () => true });
    expect(names.names.length).toBe(1);
    expect(sweep.concerns('a', 0)).toBe(true);
    await turn();
    expect(names.names.length).toBe(0);
    expect(done).toHaveBeenCalledOnce();
  });

  it('spends the time that a small cache takes, and no more', () => {
    const began = clock.now;
    loopBudget.left(began);
    const names = new Names(['a', 'b'], 2);
    sweepOf(names).sweep.add({
      ...broom,
      isAffected: () => {
        clock.now += 2;
        return false;
      },
    });
    expect(loopBudget.left(began)).toBe(16);
  });

  it('reads the clock after 64 comparisons, and goes on in the next turn after 3 ms', async () => {
    const names = new Names(numbered(200), LARGE);
    const { sweep, done } = sweepOf(names);
    clock.step = 3;
    sweep.add(broom);
    await turn();
    expect(names.listed).toBe(64);
    await turn();
    expect(names.listed).toBe(128);
    clock.step = 0;
    expect(done).not.toHaveBeenCalled();
    await turn();
    expect(names.listed).toBe(200);
    expect(done).toHaveBeenCalledOnce();
    expect(names.passes).toBe(1);
  });

  it('counts heavy patterns and long names as several comparisons', async () => {
    // One name costs 1 + 126 × 2 / 64 comparisons, which is nearly 5.
    const names = new Names(numbered(200), LARGE);
    const { sweep } = sweepOf(names);
    clock.step = 3;
    sweep.add({ ...broom, weight: 126 });
    await turn();
    expect(names.listed).toBe(13);
    clock.step = 0;
    await turn();
  });

  it('gives up after four million comparisons beyond one for each entry, and not before', async () => {
    // 1 + 31,968 × 2 / 64 = 1,000 comparisons for each name.
    const weight = 31_968;
    for (const [count, isTooMuch] of [
      [4_001, false],
      [4_002, true],
    ] as const) {
      const names = new Names(numbered(count), LARGE);
      const { sweep, done, tooMuch } = sweepOf(names);
      sweep.add({ ...broom, weight });
      await turn();
      expect(tooMuch).toHaveBeenCalledTimes(isTooMuch ? 1 : 0);
      expect(done).toHaveBeenCalledTimes(isTooMuch ? 0 : 1);
    }
  });

  it('gives up before it begins if all comparisons would be too many', async () => {
    for (const [size, isTooMuch] of [
      [4_000_000, false],
      [4_000_001, true],
    ] as const) {
      const names = new Names([], size);
      const { sweep, done, tooMuch } = sweepOf(names);
      sweep.add(broom);
      sweep.add({ ...broom, number: 2 });
      await turn();
      expect(tooMuch).toHaveBeenCalledTimes(isTooMuch ? 1 : 0);
      expect(done).toHaveBeenCalledTimes(isTooMuch ? 0 : 1);
    }
  });

  it('lets 1,000 patterns wait, and gives up at one more', async () => {
    const { sweep, tooMuch } = sweepOf(new Names([], LARGE));
    for (let number = 1; number <= 1_000; number++) {
      sweep.add({ ...broom, number });
    }
    expect(tooMuch).not.toHaveBeenCalled();
    sweep.add({ ...broom, number: 1_001 });
    expect(tooMuch).toHaveBeenCalledOnce();
    await turn();
  });

  it('makes one pass for all patterns of one turn, and another for those that come during it', async () => {
    const names = new Names(['a', 'b', 'c', ...numbered(200)], LARGE);
    const { sweep, done } = sweepOf(names);
    const only = (one: string) => (name: string) => name === one;
    sweep.add({ ...broom, isAffected: only('a') });
    sweep.add({ ...broom, isAffected: only('b'), number: 2 });
    clock.step = 3;
    await turn();
    sweep.add({ ...broom, isAffected: only('c'), number: 3 });
    expect(sweep.concerns('a', 0)).toBe(true);
    expect(sweep.concerns('c', 2)).toBe(true);
    expect(sweep.concerns('c', 3)).toBe(false);
    clock.step = 0;
    await turn();
    expect(
      ['a', 'b', 'c'].filter((name) => names.names.includes(name)),
    ).toEqual([]);
    expect(names.passes).toBe(2);
    expect(done).toHaveBeenCalledOnce();
    expect(sweep.concerns('a', 0)).toBe(false);
    await turn();
    expect(names.passes).toBe(2);
  });

  it('spares entries stored after the pattern', async () => {
    const names = new Names(['a'], LARGE, 1);
    const { sweep, done } = sweepOf(names);
    sweep.add({ ...broom, isAffected: () => true });
    await turn();
    expect(done).toHaveBeenCalledOnce();
    expect(names.names.length).toBe(1);
  });

  it('evicts an entry without a comparison if its name would take more than 100,000 steps', async () => {
    const compared: string[] = [];
    const isAffected = (name: string): boolean => {
      compared.push(name);
      return false;
    };
    const names = new Names(['aa', 'aaa'], LARGE);
    const { sweep } = sweepOf(names);
    for (const number of [1, 2, 3]) {
      sweep.add({ isAffected, weight: 50_000 / 3, number });
    }
    expect(sweep.concerns('aa', 0)).toBe(false);
    expect(compared).toEqual(['aa', 'aa', 'aa']);
    expect(sweep.concerns('aaa', 0)).toBe(true);
    expect(sweep.concerns('aaa', 2)).toBe(true);
    expect(sweep.concerns('aaa', 3)).toBe(false);
    await turn();
    expect(names.names).toEqual(['aa']);
    expect(compared).not.toContain('aaa');
    expect(sweep.concerns('aaa', 0)).toBe(false);
  });

  it('does nothing more once it is stopped', async () => {
    const names = new Names(['a'], LARGE);
    const { sweep, done } = sweepOf(names);
    sweep.add({ ...broom, isAffected: () => true });
    sweep.stop();
    await turn();
    expect(names.names.length).toBe(1);
    expect(done).not.toHaveBeenCalled();
    const other = sweepOf(names);
    expect(() => other.sweep.stop()).not.toThrow();
    expect(names.names).toEqual(['a']);
  });

  it('goes on where it rests, whatever is removed and read around it', async () => {
    const names = new Names(numbered(200), LARGE);
    const { sweep, done } = sweepOf(names);
    clock.step = 3;
    sweep.add(broom);
    await turn();
    for (const at of [62, 63, 64, 65]) names.delete(numbered(200)[at]!);
    names.get(numbered(200)[66]!);
    clock.step = 0;
    await turn();
    // Two entries were removed before their turn, and one is the newest now.
    expect(names.listed).toBe(200 - 2 - 1);
    expect(names.passes).toBe(1);
    expect(done).toHaveBeenCalledOnce();
  });

  it('removes what it has hidden before it is done', async () => {
    const names = new Names(numbered(200), LARGE);
    const { sweep, done } = sweepOf(names);
    const gone = new Set(numbered(90));
    sweep.add({ ...broom, isAffected: (name) => gone.has(name) });
    clock.step = 3;
    for (let at = 0; at < 4; at++) await turn();
    expect(names.names).toEqual(numbered(200).slice(90));
    expect(done).not.toHaveBeenCalled();
    clock.step = 0;
    await turn();
    expect(done).toHaveBeenCalledOnce();
  });
});
