import { describe, expect, it } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import {
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { ErrorReporter, InvalidationConsumer } from '../../lib/stream/index.js';

function startBusy(bytes: number) {
  const instance = new Instance('test');
  const meter = new InvalidationCounters(instance);
  const errors = new ErrorReporter();
  const handled: InvalidationMessage[] = [];
  let finish = (): void => {};
  const consumer = new InvalidationConsumer(
    'Users.work',
    (message) => {
      handled.push(message);
      return new Promise<void>((resolve) => (finish = resolve));
    },
    () => true,
    undefined,
    {
      meter,
      errors,
      tracing: null,
      queueLimit: { messages: 1_000, bytes },
      types: null,
    },
  );
  return {
    handled,
    push: (id: string, metadata?: unknown) =>
      consumer.push(instance.stamp(entity('User', id, { metadata })), 0),
    finishAll: async () => {
      while (consumer.busy) {
        finish();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

describe('InvalidationConsumer: a busy handler', () => {
  it('receives "everything" beyond the limit of queued bytes', async () => {
    const { handled, push, finishAll } = startBusy(100_000);
    push('1');
    push('2', 'x'.repeat(60_000));
    push('3', { deep: [{ er: 'x'.repeat(60_000) }] });
    push('4');
    await finishAll();
    expect(handled.map(({ widened, entityId }) => widened ?? entityId)).toEqual(
      ['1', 'handler-overflow'],
    );
    expect(JSON.stringify(handled[1]).length).toBeLessThan(1_000);

    // The queue has room again.
    push('5');
    push('6', 'x'.repeat(60_000));
    await finishAll();
    push('7');
    push('8', 'x'.repeat(60_000));
    await finishAll();
    expect(handled.slice(2).map(({ entityId }) => entityId)).toEqual([
      '5',
      '6',
      '7',
      '8',
    ]);
  });

  it('receives all small messages below the limit', async () => {
    const { handled, push, finishAll } = startBusy(100_000);
    for (let id = 0; id < 150; id++) push(String(id));
    await finishAll();
    expect(handled).toHaveLength(150);
  });
});

describe('InvalidationConsumer: a handler that does not finish', () => {
  it('is reported once, when another message has waited for 30 s', async () => {
    const instance = new Instance('test');
    const meter = new InvalidationCounters(instance);
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
      {
        meter,
        errors: reporter,
        tracing: null,
        queueLimit: { messages: 10, bytes: Infinity },
        types: null,
      },
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
      expect.stringMatching(/^Users\.hang has been working .* for 30 s/),
    ]);
    expect(meter.totals.handlerErrors).toBe(1);

    // Waiting messages are still handled.
    const idle = consumer.whenIdle();
    for (let left = 4; left > 0; left--) {
      finish();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await idle;
    expect(handled).toEqual(['1', '2', '3', '4']);
  });
});
