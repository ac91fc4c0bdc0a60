import { Logger } from '@nestjs/common';
import { describe, expect, it, vi } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import {
  entity,
  Instance,
  sizeOf,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { ErrorReporter, InvalidationConsumer } from '../../lib/stream/index.js';
import { makeStream } from './setup.js';

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

    // Whole, so that sums with it are exact.
    const began = Math.round(performance.now());
    say(1, began);
    say(2, began + 29_999);
    expect(errors).toEqual([]);
    say(3, began + 30_000);
    const report =
      /^Users\.hang has been working .* for 30 s: it has not finished\. .*wait for it/;
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(report),
    ]);
    say(4, began + 60_000);
    expect(errors).toHaveLength(1);

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

/** A consumer whose handler does this, and returns what to wait for. */
function consumerOf(
  handle: (id: string, consumer: InvalidationConsumer) => unknown,
  queueLimit = { messages: 100, bytes: Infinity },
  name = 'Users.on',
  errors = new ErrorReporter(),
) {
  const { instance, meter } = makeStream();
  const handled: InvalidationMessage[] = [];
  const consumer: InvalidationConsumer = new InvalidationConsumer(
    name,
    (message) => {
      handled.push(message);
      return handle(message.entityId!, consumer);
    },
    () => true,
    undefined,
    {
      meter,
      errors,
      tracing: null,
      queueLimit,
      types: null,
    },
  );
  return {
    meter,
    consumer,
    handled: () => handled.map((each) => each.widened ?? each.entityId),
    last: () => handled.at(-1),
    push: (...ids: string[]) => {
      for (const id of ids) {
        consumer.push(instance.stamp(entity('User', id)), performance.now());
      }
    },
  };
}

/** A handler that is busy until each of its calls is finished by hand. */
function busyConsumer(
  queueLimit: { messages: number; bytes: number },
  name?: string,
  errors?: ErrorReporter,
) {
  let finish = (): void => {};
  const started = consumerOf(
    () => new Promise<void>((resolve) => (finish = resolve)),
    queueLimit,
    name,
    errors,
  );
  const finishOne = async (): Promise<void> => {
    finish();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    ...started,
    finishOne,
    finishAll: async (calls: number) => {
      for (let call = 0; call < calls; call++) await finishOne();
    },
  };
}

describe('InvalidationConsumer: a handler that publishes messages for itself', () => {
  it('has them when it has returned, one after the other', () => {
    const order: string[] = [];
    const { push } = consumerOf((id) => {
      order.push(`begin ${id}`);
      if (id === '1') push('2', '3');
      order.push(`end ${id}`);
    });
    push('1');
    expect(order).toEqual([
      'begin 1',
      'end 1',
      'begin 2',
      'end 2',
      'begin 3',
      'end 3',
    ]);
  });

  it('has them when its promise has settled', async () => {
    let finish = (): void => {};
    const { push, handled, consumer } = consumerOf((id) => {
      if (id !== '1') return null;
      push('2');
      return new Promise<void>((resolve) => (finish = resolve));
    });
    push('1');
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled()).toEqual(['1']);
    expect(consumer.busy).toBe(true);
    const idle = consumer.whenIdle();
    finish();
    await idle;
    expect(handled()).toEqual(['1', '2']);
    expect(consumer.busy).toBe(false);
  });

  it('may wait for its own end', async () => {
    const ends: Promise<void>[] = [];
    const { push } = consumerOf((_, consumer) => {
      ends.push(consumer.whenIdle());
    });
    push('1');
    await Promise.all(ends);
    expect(ends).toHaveLength(1);
  });
});

describe('InvalidationConsumer: after close', () => {
  it('takes no messages, and drops those that wait', async () => {
    const { push, handled, consumer, finishAll } = busyConsumer({
      messages: 10,
      bytes: Infinity,
    });
    push('1', '2');
    consumer.close();
    await finishAll(2);
    push('3');
    expect(handled()).toEqual(['1']);
  });
});

describe('InvalidationConsumer: the queue of a busy handler', () => {
  const SIZE = sizeOf(entity('User', '1'));

  it('has as many messages as its limit, and "everything" beyond', async () => {
    const within = busyConsumer({ messages: 2, bytes: Infinity });
    within.push('1', '2', '3');
    await within.finishAll(3);
    expect(within.handled()).toEqual(['1', '2', '3']);
    expect(within.meter.widenedBy.size).toBe(0);

    const beyond = busyConsumer({ messages: 2, bytes: Infinity });
    beyond.push('1', '2', '3', '4', '5');
    await beyond.finishAll(3);
    expect(beyond.handled()).toEqual(['1', 'handler-overflow']);
    expect(beyond.last()).toMatchObject({ action: 'Pattern', pattern: '*' });
    expect([...beyond.meter.widenedBy]).toEqual([['handler-overflow', 1]]);
  });

  it('has as many bytes as its limit, before and after it was full', async () => {
    const { push, handled, finishOne, finishAll } = busyConsumer({
      messages: 100,
      bytes: 2 * SIZE,
    });
    push('1', '2', '3');
    // Room for one again.
    await finishOne();
    push('4');
    await finishAll(3);
    expect(handled()).toEqual(['1', '2', '3', '4']);

    push('5', '6', '7');
    await finishOne();
    push('8', '9');
    await finishAll(2);
    expect(handled().slice(4)).toEqual(['5', '6', 'handler-overflow']);

    push('a', 'b', 'c');
    await finishAll(3);
    expect(handled().slice(7)).toEqual(['a', 'b', 'c']);
    push('d', 'e', 'f', 'g');
    await finishAll(2);
    expect(handled().slice(10)).toEqual(['d', 'handler-overflow']);
  });

  it('is logged by handler when it was full, with the option that limits it', () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const errors = new ErrorReporter();
    const few = { messages: 1, bytes: Infinity };
    busyConsumer(few, 'A.on', errors).push('1', '2', '3');
    const short = { messages: 9, bytes: SIZE };
    busyConsumer(short, 'B.on', errors).push('1', '2', '3');
    expect(warn.mock.calls.map(([line]) => String(line))).toEqual([
      'A.on fell behind by more than 1 messages (option handlerQueueLimit): it receives "everything" instead.',
      `B.on fell behind by more than ${SIZE} bytes of messages (option queueByteLimit): it receives "everything" instead.`,
    ]);
  });
});
