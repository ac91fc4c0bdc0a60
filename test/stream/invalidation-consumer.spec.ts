import { describe, expect, it } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import { entity, Instance } from '../../lib/message/index.js';
import { InvalidationStats } from '../../lib/observability/index.js';
import { ErrorReporter, InvalidationConsumer } from '../../lib/stream/index.js';

describe('A handler that does not finish', () => {
  it('is reported once, when another message has waited for it for long', async () => {
    const instance = new Instance('test');
    const meter = new InvalidationStats(instance);
    const reporter = new ErrorReporter();
    const errors: CacheInvalidationError[] = [];
    reporter.errors$.subscribe((error) => errors.push(error));
    const handled: string[] = [];
    let finish = (): void => {};
    const consumer = new InvalidationConsumer(
      'Users.hang',
      ({ entityId }) => {
        handled.push(entityId!);
        return new Promise<void>((resolve) => (finish = resolve));
      },
      () => true,
      undefined,
      { meter, errors: reporter, tracing: null, queueLimit: 10 },
    );
    const say = (id: number, now: number): number =>
      consumer.push(instance.stamp(entity('User', id)), now);

    const began = performance.now();
    say(1, began);
    say(2, began + 29_999);
    expect(errors).toEqual([]);
    say(3, began + 30_000);
    say(4, began + 60_000);

    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^Users\.hang has been at work .* for 30 s/),
    ]);
    expect(meter.snapshot().handlerErrors).toBe(1);

    // What waited is handled all the same.
    const idle = consumer.whenIdle();
    for (let left = 4; left > 0; left--) {
      finish();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await idle;
    expect(handled).toEqual(['1', '2', '3', '4']);
  });
});
