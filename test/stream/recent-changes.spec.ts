import { describe, expect, it } from 'vitest';
import { batch, entity, everything, pattern } from '../../lib/message/index.js';
import { RecentChanges } from '../../lib/stream/recent-changes.js';

const keysOf = (count: number, type: string): string[] =>
  Array.from({ length: count }, (_, at) => `${type}:${at}`);

/** Records patterns at ticks 1, 2, … */
function recordPatterns(changes: RecentChanges, from: number, to: number) {
  for (let time = from; time <= to; time++) {
    changes.record(pattern(`feed:${time}:*`), time);
  }
}

describe('RecentChanges', () => {
  it('affect their keys since before their tick, and not since it', () => {
    const changes = new RecentChanges();
    expect(changes.unaffected(['user:1'], 0)).toBe(true);
    changes.record(entity('User', 1), 1);
    changes.record(pattern('feed:1:*'), 2);
    expect(changes.unaffected(['user:1'], 0)).toBe(false);
    expect(changes.unaffected(['user:1'], 1)).toBe(true);
    expect(changes.unaffected(['user:2', 'feed:1:1'], 1)).toBe(false);
    expect(changes.unaffected(['feed:1:1'], 2)).toBe(true);
    expect(changes.unaffected(['feed:2:1'], 0)).toBe(true);
  });

  it('affect the families of their keys', () => {
    const changes = new RecentChanges();
    changes.record(entity('User', 1), 1);
    changes.record(entity('User', 2), 2);
    expect(changes.unaffected(['user:'], 1)).toBe(false);
    expect(changes.unaffected(['user:'], 2)).toBe(true);
    expect(changes.unaffected(['post:'], 0)).toBe(true);
    changes.record(entity('Post', 1), 3);
    changes.record(entity('User', 1), 4);
    expect(changes.unaffected(['post:'], 2)).toBe(false);
    expect(changes.unaffected(['post:'], 3)).toBe(true);
    expect(changes.unaffected(['user:'], 3)).toBe(false);
    changes.record(everything(), 5);
    changes.record(entity('Post', 1), 6);
    expect(changes.unaffected(['user:'], 4)).toBe(false);
    expect(changes.unaffected(['user:'], 5)).toBe(true);
    expect(changes.unaffected(['post:'], 5)).toBe(false);
  });

  it('affect the family of all keys, whatever they name', () => {
    const changes = new RecentChanges();
    expect(changes.unaffected([''], 0)).toBe(true);
    changes.record(entity('User', 1), 1);
    expect(changes.unaffected([''], 0)).toBe(false);
    expect(changes.unaffected([''], 1)).toBe(true);
    changes.record(pattern('feed:1:*'), 2);
    expect(changes.unaffected([''], 1)).toBe(false);
  });

  it('of a batch of more than ten thousand keys affect every key', () => {
    const changes = new RecentChanges();
    changes.record(batch(keysOf(10_000, 'user')), 1);
    expect(changes.unaffected(['post:1'], 0)).toBe(true);
    changes.record(batch(keysOf(10_001, 'user')), 2);
    expect(changes.unaffected(['post:1'], 1)).toBe(false);
    expect(changes.unaffected(['post:1'], 2)).toBe(true);
  });

  it('are unknown from before the last fifty thousand keys, at least', () => {
    const changes = new RecentChanges();
    for (let time = 1; time <= 9; time++) {
      changes.record(batch(keysOf(10_000, `t${time}`)), time);
    }
    changes.record(batch(keysOf(9_999, 't10')), 10);
    expect(changes.unaffected(['user:1'], 0)).toBe(true);
    changes.record(entity('Post', 1), 11);
    expect(changes.unaffected(['user:1'], 4)).toBe(false);
    expect(changes.unaffected(['user:1'], 5)).toBe(true);
    expect(changes.unaffected(['t6:1'], 5)).toBe(false);
  });

  it('are unknown from before the last fifty thousand families, at least', () => {
    const changes = new RecentChanges();
    for (let time = 1; time < 100_000; time++) {
      changes.record(entity(`t${time}`, 1), time);
    }
    expect(changes.unaffected(['t1:'], 0)).toBe(false);
    expect(changes.unaffected(['t0:'], 0)).toBe(true);
    changes.record(entity('Post', 1), 100_000);
    expect(changes.unaffected(['t0:'], 49_999)).toBe(false);
    expect(changes.unaffected(['t0:'], 50_000)).toBe(true);
    expect(changes.unaffected(['t50001:'], 50_000)).toBe(false);
  });

  it('affect a family at the latest of its keys, in whichever order they were first named', () => {
    const changes = new RecentChanges();
    for (const [at, id] of [1, 2, 1].entries()) {
      changes.record(entity('User', id), at + 1);
    }
    expect(changes.unaffected(['user:'], 2)).toBe(false);
    expect(changes.unaffected(['user:'], 3)).toBe(true);
  });

  it('are unknown from before the last thousand patterns, at least', () => {
    const changes = new RecentChanges();
    recordPatterns(changes, 1, 1_999);
    expect(changes.unaffected(['user:1'], 0)).toBe(true);
    recordPatterns(changes, 2_000, 2_000);
    expect(changes.unaffected(['user:1'], 999)).toBe(false);
    expect(changes.unaffected(['user:1'], 1_000)).toBe(true);
    recordPatterns(changes, 2_001, 3_000);
    expect(changes.unaffected(['user:1'], 1_999)).toBe(false);
    expect(changes.unaffected(['user:1'], 2_000)).toBe(true);
  });

  it('make room for as many patterns once everything was invalidated', () => {
    const changes = new RecentChanges();
    recordPatterns(changes, 1, 1_500);
    changes.record(everything(), 1_501);
    recordPatterns(changes, 1_502, 3_500);
    expect(changes.unaffected(['user:1'], 1_500)).toBe(false);
    expect(changes.unaffected(['user:1'], 1_501)).toBe(true);
    expect(changes.unaffected(['feed:1502:1'], 1_501)).toBe(false);
  });
});

describe('RecentChanges: a check that would take too long', () => {
  it('does not hold, and the next one goes on where it ended', () => {
    const changes = new RecentChanges();
    for (let time = 1; time <= 50; time++) {
      changes.record(pattern(`feed:${time}:`.padEnd(1_000, 'x') + '*'), time);
    }
    // Compiling them takes the time.
    expect(changes.unaffected(['user:1'], 0)).toBe(false);
    expect(changes.unaffected(['user:1'], 0)).toBe(true);
  });

  it('because of many keys and patterns does not hold', () => {
    const changes = new RecentChanges();
    recordPatterns(changes, 1, 1_000);
    expect(changes.unaffected(keysOf(10, 'user'), 0)).toBe(true);
    expect(changes.unaffected(keysOf(20, 'user'), 0)).toBe(false);
  });

  it('because of a long key and many classes does not hold', () => {
    const changes = new RecentChanges();
    for (let time = 1; time <= 10; time++) {
      changes.record(pattern(`*${'[ab]'.repeat(100)}${time}*`), time);
    }
    expect(changes.unaffected(['user:1'], 0)).toBe(true);
    expect(changes.unaffected([`user:${'c'.repeat(2_000)}`], 0)).toBe(false);
  });
});

describe('RecentChanges.append()', () => {
  it('keep their ticks', () => {
    const changes = new RecentChanges();
    changes.record(entity('User', 1), -2);
    changes.record(pattern('feed:1:*'), -1);
    const later = new RecentChanges();
    later.record(entity('User', 2), 5);
    later.record(pattern('feed:2:*'), 6);

    changes.append(later);

    expect(changes.unaffected(['user:1'], -3)).toBe(false);
    expect(changes.unaffected(['user:1', 'feed:1:1'], -1)).toBe(true);
    expect(changes.unaffected(['feed:1:1'], -2)).toBe(false);
    expect(changes.unaffected(['user:2'], 4)).toBe(false);
    expect(changes.unaffected(['user:2'], 5)).toBe(true);
    expect(changes.unaffected(['feed:2:1'], 5)).toBe(false);
    expect(changes.unaffected([''], 5)).toBe(false);
    expect(changes.unaffected([''], 6)).toBe(true);
  });

  it('change nothing where there are none', () => {
    const changes = new RecentChanges();
    changes.record(entity('User', 1), 3);
    changes.append(new RecentChanges());
    expect(changes.unaffected([''], 2)).toBe(false);
    expect(changes.unaffected(['post:1'], 2)).toBe(true);
  });

  it('are unknown where they were', () => {
    const changes = new RecentChanges();
    const later = new RecentChanges();
    later.record(everything(), 5);
    changes.append(later);
    expect(changes.unaffected(['user:1'], 4)).toBe(false);
    expect(changes.unaffected(['user:1'], 5)).toBe(true);
  });
});
