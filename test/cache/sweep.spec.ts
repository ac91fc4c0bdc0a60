import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import { LruEntry, LruMap } from '../../lib/cache/near/lru-map.js';
import { Sweep } from '../../lib/cache/near/sweep.js';
import {
  batch,
  Instance,
  pattern,
  type Invalidation,
} from '../../lib/message/index.js';
import { Fences } from '../../lib/stream/index.js';

/** Several times the number of entries of one round of a sweep. */
const SIZE = 50_000;

const instance = new Instance('test');

class Subject {
  readonly #fences = new Fences();
  readonly cache = new NearCache<number>(
    'User',
    resolveNearCache({ max: 2 * SIZE }),
    { fence: () => this.#fences.take(), position: null, bypass: false },
    null,
  );

  async load(ids: Iterable<number>, value: number): Promise<void> {
    for (const id of ids) await this.cache.get(id, () => value);
  }

  say(said: Invalidation): void {
    const message = instance.stamp(said);
    this.#fences.record(message);
    this.cache.apply(message);
  }
}

const ids = Array.from({ length: SIZE }, (_, id) => id);

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('Sweep: a pattern in a large near cache', () => {
  it('hides matching entries as soon as the message is delivered', async () => {
    const subject = new Subject();
    await subject.load(ids, 1);
    subject.say(pattern('user:*7'));
    subject.say(pattern('user:*8'));
    expect(subject.cache.stats.size).toBeGreaterThan(SIZE * 0.9);
    const read = ids.filter((id) => subject.cache.peek(id) === 1);
    expect(read).toEqual(ids.filter((id) => !/[78]$/.test(String(id))));
  });

  it('evicts exactly the matching entries in steps', async () => {
    const subject = new Subject();
    await subject.load(ids, 1);
    subject.say(pattern('user:*7'));
    while (subject.cache.stats.size > SIZE * 0.9) await turn();
    subject.say(pattern('user:1*'));
    const expected = ids.filter((id) => !/^1|7$/.test(String(id)));
    while (subject.cache.stats.size > expected.length) await turn();
    await turn();
    expect(subject.cache.stats.size).toBe(expected.length);
  });

  it('keeps entries loaded during the sweep', async () => {
    const subject = new Subject();
    await subject.load(ids, 1);
    subject.say(pattern('user:[0-9]*'));
    await subject.load([SIZE - 1, 0], 2);
    expect(subject.cache.peek(0)).toBe(2);
    while (subject.cache.stats.size > 2) await turn();
    await turn();
    expect(subject.cache.peek(0)).toBe(2);
    expect(subject.cache.peek(SIZE - 1)).toBe(2);
  });

  it('continues when the entry at its position is evicted between steps', async () => {
    const subject = new Subject();
    await subject.load(ids, 1);
    subject.say(pattern('user:*7'));
    // The sweep pauses at one of these entries; nearly all of them are removed.
    // In reverse order, so that each still points at a neighbour that is
    // removed next.
    const spared = new Set(ids.filter((id) => id % 50 === 0 || id % 50 === 47));
    const gone = ids.filter((id) => !spared.has(id)).toReversed();
    for (let from = 0; from < gone.length; from += 1_000) {
      const keys = gone.slice(from, from + 1_000).map((id) => `user:${id}`);
      subject.say(batch(keys));
    }
    const swept = ids.filter((id) => id % 50 === 47);
    while (subject.cache.stats.size > spared.size - swept.length) await turn();
    expect(swept.filter((id) => subject.cache.peek(id) === 1)).toEqual([]);
  });

  it('is not needed for a pattern that matches all entries', async () => {
    const subject = new Subject();
    await subject.load(ids, 1);
    subject.say(pattern('user:*7'));
    subject.say(pattern('user:*'));
    expect(subject.cache.stats.size).toBe(0);
    await subject.load([7, 8], 2);
    await turn();
    await turn();
    expect(subject.cache.peek(7)).toBe(2);
    expect(subject.cache.stats.size).toBe(2);
  });

  it('clears the cache when too many patterns would be compared with all entries', async () => {
    const subject = new Subject();
    await subject.load(ids, 1);
    const globs = ids.slice(0, 100).map((id) => `user:${id}x*`);
    for (const glob of globs) subject.say(pattern(glob));
    expect(subject.cache.stats.size).toBe(SIZE);
    await turn();
    expect(subject.cache.stats.size).toBe(0);
  });

  it('clears the cache when too many patterns would be compared at each read', async () => {
    const subject = new Subject();
    await subject.load(ids.slice(0, 2_000), 1);
    for (let i = 0; i < 1_000; i++) subject.say(pattern(`user:${i}x*`));
    expect(subject.cache.stats.size).toBe(2_000);
    subject.say(pattern('user:x*'));
    expect(subject.cache.stats.size).toBe(0);
  });

  it('checks the clock as often with many patterns as with one', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now++);
    const entries = new LruMap<LruEntry & { sweeps: number }>(SIZE);
    for (const id of ids) {
      const entry = new LruEntry(String(id), Infinity);
      entries.set(Object.assign(entry, { sweeps: 0 }));
    }
    const done = vi.fn();
    const sweep = new Sweep(entries, done, () => expect.unreachable());
    let comparisons = 0;
    const isAffected = (): boolean => {
      comparisons++;
      return false;
    };
    for (let number = 1; number <= 50; number++) {
      sweep.add({ isAffected, weight: 0, number });
    }
    let most = 0;
    while (done.mock.calls.length === 0) {
      comparisons = 0;
      await turn();
      most = Math.max(most, comparisons);
    }
    vi.restoreAllMocks();
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(1_000);
  });

  it('misses no entry, whatever is read, evicted and loaded meanwhile', async () => {
    const id = fc.nat({ max: SIZE - 1 });
    const act = fc.oneof(
      fc.record({ kind: fc.constant('read' as const), id }),
      fc.record({ kind: fc.constant('load' as const), id }),
      fc.record({
        kind: fc.constant('pattern' as const),
        glob: fc.constantFrom('user:*3', 'user:5*', 'user:*', 'user:[0-9]*'),
      }),
      fc.record({
        kind: fc.constant('pattern' as const),
        glob: id.map((exact) => `user:${exact}`),
      }),
      fc.record({ kind: fc.constant('turn' as const) }),
    );
    const acts = fc.array(act, { maxLength: 60, size: 'max' });
    await fc.assert(
      fc.asyncProperty(acts, async (all) => {
        const subject = new Subject();
        await subject.load(ids, 1);
        const gone: string[] = [];
        const reloaded = new Set<number>();
        for (const each of [...all, { kind: 'turn' as const }]) {
          if (each.kind === 'read') subject.cache.peek(each.id);
          if (each.kind === 'turn') await turn();
          if (each.kind === 'load') {
            await subject.load([each.id], 2);
            reloaded.add(each.id);
          }
          if (each.kind === 'pattern') {
            subject.say(pattern(each.glob));
            gone.push(each.glob.slice('user:'.length));
            reloaded.clear();
          }
        }
        for (let left = 500; left > 0; left--) await turn();
        const matched = gone.map(
          (glob) => new RegExp(`^${glob.replaceAll('*', '.*')}$`),
        );
        const wrong = ids.filter((one) => {
          const isOld = subject.cache.peek(one) === 1;
          return isOld && matched.some((glob) => glob.test(String(one)));
        });
        expect(wrong).toEqual([]);
        const kept = [...reloaded].filter(
          (one) => subject.cache.peek(one) === undefined,
        );
        expect(kept).toEqual([]);
      }),
      { numRuns: 15 },
    );
  }, 60_000);
});
