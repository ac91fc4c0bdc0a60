import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import {
  affects,
  batch,
  entity,
  everything,
  pattern,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { Fences } from '../../lib/stream/index.js';
import { Instance, type Invalidation } from '../../lib/message/index.js';
import { startApp } from '../support/app.js';

const instance = new Instance('test');

function noting(fences: Fences, ...invalidations: Invalidation[]): void {
  for (const each of invalidations) fences.record(instance.stamp(each));
}

describe('Fence', () => {
  it('breaks for the keys of later messages, and for no others', async () => {
    const { publisher, subscriber } = await startApp();
    await publisher.invalidate('User', 1);
    const fence = subscriber.fence();
    expect(fence.holds('user:1')).toBe(true);
    await publisher.invalidateBatch(['user:2', 'post:1']);
    await publisher.invalidatePattern('feed:4*');
    const held = ['user:1', 'user:2', 'post:1', 'feed:42', 'feed:5'].filter(
      (key) => fence.holds(key),
    );
    expect(held).toEqual(['user:1', 'feed:5']);
    await publisher.invalidateAll();
    expect(fence.holds('feed:5')).toBe(false);
    expect(subscriber.fence().holds('feed:5')).toBe(true);
  });

  it('breaks at a message of another instance', async () => {
    const reader = await startApp();
    const writer = await startApp({ channel: reader.channel });
    const fence = reader.subscriber.fence();
    const heard = reader.messages.length;
    await writer.publisher.invalidate('User', 1);
    await expect.poll(() => reader.messages.length).toBe(heard + 1);
    expect(fence.holds('user:1')).toBe(false);
    expect(fence.holds('user:2')).toBe(true);
  });

  it('is not broken by the message being handled when it is taken in a handler', async () => {
    const { publisher, subscriber } = await startApp();
    subscriber.fence();
    let held: boolean | null = null;
    subscriber.subscribe(() => {
      held = subscriber.fence().holds('user:1');
    });
    await publisher.invalidate('User', 1);
    expect(held).toBe(true);
  });

  it('breaks when too many messages were recorded since', () => {
    const fences = new Fences();
    const old = fences.take();
    const keys = Array.from({ length: 50_001 }, (_, i) => `session:${i}`);
    noting(fences, batch(keys));
    expect(old.holds('user:1')).toBe(false);
    expect(fences.take().holds('session:0')).toBe(true);

    const older = fences.take();
    for (let i = 0; i < 2_000; i++) noting(fences, pattern(`feed:${i}:*`));
    expect(older.holds('user:1')).toBe(false);
    expect(fences.take().holds('feed:1:1')).toBe(true);
  });

  it('never holds for a key that a later message affects', () => {
    const keys = ['user:1', 'user:2', 'user:12', 'post:1'];
    const said = fc.oneof(
      fc.constantFrom(1, 2, 12).map((id) => entity('User', id)),
      fc.subarray(keys, { minLength: 1 }).map((some) => batch(some)),
      fc.constantFrom('user:1*', '*:1', 'post:*').map((glob) => pattern(glob)),
    );
    fc.assert(
      fc.property(fc.array(said), fc.array(said), (before, after) => {
        const fences = new Fences();
        fences.take();
        noting(fences, ...before);
        const fence = fences.take();
        noting(fences, ...after);
        for (const key of keys) {
          const isAffected = after.some((each) => affects(each, key));
          expect(fence.holds(key)).toBe(!isAffected);
        }
      }),
    );
  });
});

/** Redis has taken all published messages, none of them after the first offset. */
const TAKEN = { mark: 0, hasTaken: () => true, lastOffset: '0-1' };

describe('Fences.takenAt()', () => {
  const KEYS = ['user:1', 'user:2', 'user:12', 'post:1'];
  const said = fc.oneof(
    fc.constantFrom(1, 2, 12).map((id) => entity('User', id)),
    fc.subarray(KEYS, { minLength: 1 }).map((some) => batch(some)),
    fc.constantFrom('user:1*', '*:1', 'post:*').map((glob) => pattern(glob)),
    fc.constant(everything()),
  );
  /** One message is delivered by its publisher before its turn in the journal. */
  const journal = fc.array(said, { minLength: 2, maxLength: 30 });

  it('breaks for keys of later messages in the journal, received or recalled', () => {
    const moments = fc.record({
      first: fc.nat(),
      early: fc.nat(),
      recalled: fc.nat(),
      settles: fc.boolean(),
    });
    fc.assert(
      fc.property(journal, moments, (all, { settles, ...moment }) => {
        const first = moment.first % all.length;
        const early = moment.early % all.length;
        const recalled = Math.max(first, moment.recalled % all.length);
        const offsets = all.map((_, at) => `${at + 1}-0`);
        const past = all
          .slice(0, first + 1)
          .map((each, at) => ({ ...each, offset: offsets[at]! }));
        const fences = new Fences();
        fences.trackPositions();
        fences.reached(offsets[first]!, false);
        if (early > first) fences.recordEarly(all[early]!);
        for (const [at, each] of all.entries()) {
          if (at > first) {
            if (at !== early) noting(fences, each);
            if (settles && at === early)
              fences.settleEarly(TAKEN, offsets[at]!);
            fences.reached(offsets[at]!, true);
          }
          if (at === recalled) fences.recall(past);
        }

        for (const [at, offset] of offsets.entries()) {
          const fence = fences.takenAt(offset)!;
          expect(fence.recalled).toBe(at <= first);
          for (const key of KEYS) {
            const isAffected = all
              .slice(at + 1)
              .some((each) => affects(each, key));
            // An own message that was delivered early may break the fence
            // without need.
            const right = early > first ? [!isAffected, false] : [!isAffected];
            expect(right).toContain(fence.holds(key));
          }
        }
      }),
    );
  });

  it('returns null for an offset that this instance was never at, or too long ago', () => {
    const fences = new Fences();
    fences.reached('1-0', true);
    expect(fences.takenAt('1-0')).toBeNull();
    fences.trackPositions();
    for (let at = 1; at <= 100_000; at++) fences.reached(`${at}-0`, true);
    expect(fences.takenAt('50000-0')).toBeNull();
    expect(fences.takenAt('50001-0')).not.toBeNull();
    expect(fences.takenAt('200000-0')).toBeNull();
  });

  it('counts what came since that offset was reached for the first time', () => {
    const fences = new Fences();
    fences.trackPositions();
    fences.reached('1-0', true);
    fences.reached('2-0', false);
    noting(fences, entity('User', 1));
    fences.reached('1-0', true);
    fences.reached('2-0', true);
    fences.reached('2-0', false);
    expect(fences.takenAt('1-0')?.holds('user:1')).toBe(false);
    expect(fences.takenAt('2-0')?.holds('user:1')).toBe(false);
    expect(fences.takenAt('2-0')?.holds('user:2')).toBe(true);
  });

  it('is still known when tracking is asked for again', () => {
    const fences = new Fences();
    expect(fences.firstPosition).toBeNull();
    fences.trackPositions();
    fences.reached('1-0', true);
    fences.trackPositions();
    fences.reached('2-0', true);
    expect(fences.takenAt('1-0')?.holds('user:1')).toBe(true);
    expect(fences.firstPosition).toBe('1-0');
  });

  it('breaks for a message that was delivered early, until that is settled', () => {
    const fences = new Fences();
    fences.trackPositions();
    fences.reached('0-1', true);
    fences.recordEarly(entity('User', 1));
    expect(fences.early).toBe(true);
    fences.reached('0-2', true);
    expect(fences.takenAt('0-2')?.holds('post:1', 'user:1')).toBe(false);
    expect(fences.takenAt('0-2')?.holds('post:1')).toBe(true);
    fences.settleEarly(TAKEN, '0-2');
    expect(fences.early).toBe(false);
    // A load that began there had not seen the message in the journal.
    expect(fences.takenAt('0-2')?.holds('user:1')).toBe(false);
    expect(fences.takenAt('0-2')?.holds('post:1')).toBe(true);
    fences.reached('0-3', true);
    expect(fences.takenAt('0-3')?.holds('user:1')).toBe(true);
  });

  it('knows of early messages from when positions are tracked', () => {
    const fences = new Fences();
    fences.recordEarly(entity('User', 1));
    fences.trackPositions();
    fences.reached('0-1', true);
    expect(fences.early).toBe(false);
    expect(fences.takenAt('0-1')?.holds('user:1')).toBe(true);
  });

  it('keeps an offset that was read marked as recalled after it is received', () => {
    const fences = new Fences();
    fences.trackPositions();
    fences.reached('1-0', false);
    fences.reached('1-0', true);
    expect(fences.takenAt('1-0')?.recalled).toBe(true);
  });

  it('does not hold when too many patterns with many stars would have to be compared', () => {
    const fences = new Fences();
    const fence = fences.take();
    for (let at = 0; at < 900; at++) {
      fences.record(pattern(`user:${'*a'.repeat(150)}*${at}b*`));
    }
    const key = `user:${'a'.repeat(300)}`;
    const looks = Array.from({ length: 20 }, () => fence.holds(key));
    expect(looks).not.toContain(true);
  });

  it('does not retain the payload of an offset', () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const fences = new Fences();
    fences.trackPositions();
    gc();
    const before = process.memoryUsage().heapUsed;
    for (let at = 0; at < 500; at++) {
      const payload = `,"offset":"1763846400000-${at}`.padEnd(200_000, 'x');
      const offset = payload.slice(11, payload.indexOf('x'));
      fences.reached(offset, true);
    }
    gc();
    const kept = process.memoryUsage().heapUsed - before;
    expect(kept).toBeLessThan(20_000_000);
    expect(fences.takenAt('1763846400000-499')).not.toBeNull();
  });
});
