import fc from 'fast-check';
import { affects, batch, entity, pattern } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { Fences } from '../../lib/stream/index.js';
import { Instance, type Invalidation } from '../../lib/message/index.js';
import { startApp } from '../support/app.js';

const instance = new Instance('test');

function noting(fences: Fences, ...invalidations: Invalidation[]): void {
  for (const each of invalidations) fences.note(instance.stamp(each));
}

describe('A fence', () => {
  it('breaks for the keys of messages after it, and for no others', async () => {
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

  it('breaks by what another instance says', async () => {
    const reader = await startApp();
    const writer = await startApp({ channel: reader.channel });
    const fence = reader.subscriber.fence();
    const heard = reader.messages.length;
    await writer.publisher.invalidate('User', 1);
    await expect.poll(() => reader.messages.length).toBe(heard + 1);
    expect(fence.holds('user:1')).toBe(false);
    expect(fence.holds('user:2')).toBe(true);
  });

  it('taken in a handler is not broken by the message that is handled', async () => {
    const { publisher, subscriber } = await startApp();
    subscriber.fence();
    let held: boolean | null = null;
    subscriber.subscribe(() => {
      held = subscriber.fence().holds('user:1');
    });
    await publisher.invalidate('User', 1);
    expect(held).toBe(true);
  });

  it('does not hold once too much was said to tell', () => {
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

  it('never holds for a key that a message since affects', () => {
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
