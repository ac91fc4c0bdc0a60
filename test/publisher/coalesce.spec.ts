import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import {
  affects,
  entity,
  InvalidationScope,
  keysOf,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import type { InvalidationTracer } from '../../lib/stream/index.js';
import { said, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { makePublisher, type PublisherOptions } from '../support/parts.js';

const start = (options: Partial<PublisherOptions> = {}) =>
  makePublisher({ coalesce: true, maxMessageBytes: 100_000, ...options });

/** A tracer that only passes on. */
const PLAIN: InvalidationTracer = {
  publishing: () => null,
  delivering: (_message, deliver) => deliver(),
  handling: (_message, _handler, handle) => void handle(),
};

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Keys without a message of another kind between them as one sorted list. */
function joined(items: readonly (readonly string[] | string)[]): string[] {
  const texts: string[] = [];
  let keys = new Set<string>();
  for (const item of [...items, '']) {
    if (typeof item !== 'string') keys = new Set([...keys, ...item]);
    else {
      texts.push([...keys].toSorted().join(), item);
      keys = new Set();
    }
  }
  return texts;
}

describe('Option coalesce', () => {
  it('joins the Deletes of one tick to one batch, whose receipt every caller gets', async () => {
    const { publisher, sent, delivered } = start();
    const receipts = await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidatePost('p'),
      publisher.invalidateCustom('session', 'a:b'),
      publisher.publish(entity('User', 2)),
    ]);
    const [message, ...others] = sent();
    expect(others).toEqual([]);
    expect(message).toMatchObject({
      action: 'Batch',
      entityType: 'batch',
      entityIds: ['user:1', 'post:p', 'session:a:b', 'user:2'],
      metadata: null,
    });
    const [receipt] = receipts;
    expect(receipt).toMatchObject({
      status: 'delivered',
      messageId: message?.messageId,
    });
    expect(receipt?.offset).toBeTypeOf('string');
    expect(new Set(receipts)).toEqual(new Set([receipt]));
    expect(delivered.map(said)).toEqual([said(message!)]);
  });

  it('joins nothing by default', async () => {
    const { publisher, sent } = start({ coalesce: false });
    await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 2),
    ]);
    expect(sent().map(said)).toEqual(['User:1', 'User:2']);
  });

  it('leaves a single Delete as it is, and names a repeated key once', async () => {
    const { publisher, sent } = start();
    const [first, second] = await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 1),
    ]);
    expect(sent()).toMatchObject([
      { action: 'Delete', entityType: 'User', entityId: '1' },
    ]);
    expect(first).toEqual(second);
  });

  it('names both where two types have one cache key', async () => {
    const { publisher, sent } = start();
    await Promise.all([
      publisher.invalidateCustom('user', 1),
      publisher.invalidate('User', 1),
    ]);
    expect(sent()).toMatchObject([{ action: 'Batch', entityIds: ['user:1'] }]);
  });

  it('leaves a type with a colon alone, which a batch would take for another', async () => {
    const { publisher, sent } = start();
    const received = { ...entity('a', 'c'), entityType: 'a:b' } as const;
    await Promise.all([
      publisher.publish(received),
      publisher.publish({ ...received, entityId: 'd' }),
    ]);
    expect(sent().map(said)).toEqual(['a:b:c', 'a:b:d']);
  });

  it('joins the publishes of one tick only', async () => {
    const { publisher, sent } = start();
    await publisher.invalidate('User', 1);
    await publisher.invalidate('User', 2);
    expect(sent().map(said)).toEqual(['User:1', 'User:2']);
  });

  it('never joins an Update, a pattern, a batch or metadata, and keeps the order', async () => {
    const { publisher, sent } = start();
    const user = (id: number) => publisher.invalidate('User', id);
    await Promise.all([
      user(1),
      user(2),
      publisher.update('User', 2),
      user(3),
      user(2),
      publisher.invalidatePattern('feed:*'),
      user(4),
      publisher.invalidate('User', 5, { metadata: { why: 'test' } }),
      user(6),
      publisher.invalidateBatch(['user:7']),
      user(8),
      publisher.invalidateAll(),
      user(9),
      user(10),
    ]);
    expect(sent().map(said)).toEqual([
      'user:1,user:2',
      'User:2',
      'user:3,user:2',
      'feed:*',
      'User:4',
      'User:5',
      'User:6',
      'user:7',
      'User:8',
      '*',
      'user:9,user:10',
    ]);
    expect(sent()[1]?.action).toBe('Update');
    expect(sent()[5]?.metadata).toEqual({ why: 'test' });
  });

  it('begins another message at maxBatchSize keys', async () => {
    const { publisher, sent } = start({ maxBatchSize: 3 });
    const receipts = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7].map((id) => publisher.invalidate('User', id)),
    );
    expect(sent().map(said)).toEqual([
      'user:1,user:2,user:3',
      'user:4,user:5,user:6',
      'User:7',
    ]);
    const ids = sent().map(({ messageId }) => messageId);
    expect(receipts.map(({ messageId }) => messageId)).toEqual(
      [0, 0, 0, 1, 1, 1, 2].map((at) => ids[at]),
    );
  });

  it('never makes a message larger than maxMessageBytes, whatever the ids are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.constantFrom('User', 'session', 'é', ' ', '"\\'),
            fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }),
          ),
          { maxLength: 60 },
        ),
        fc.integer({ min: 4_096, max: 8_192 }),
        async (rows, maxMessageBytes) => {
          const { publisher, sent, transport, finish } = start({
            maxMessageBytes,
            maxBatchSize: 1_000,
          });
          const receipts = await Promise.all(
            rows.map(([type, id]) => publisher.invalidate(type, id)),
          );
          for (const payload of transport.sent.flat()) {
            expect(Buffer.byteLength(payload)).toBeLessThanOrEqual(
              maxMessageBytes - 256,
            );
          }
          const byId = new Map(
            sent().map((message) => [message.messageId, message]),
          );
          for (const [at, [type, id]] of rows.entries()) {
            const message = byId.get(receipts[at]!.messageId!);
            const [key] = keysOf(entity(type, id))!;
            expect(affects(message!, key!)).toBe(true);
          }
          await finish();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('refuses what does not fit by itself, and publishes the others', async () => {
    const { publisher, sent } = start({ maxMessageBytes: 4_096 });
    const [small, large, other] = await Promise.allSettled([
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 'x'.repeat(5_000)),
      publisher.invalidate('User', 2),
    ]);
    expect(small.status).toBe('fulfilled');
    expect(large.status).toBe('rejected');
    expect(other.status).toBe('fulfilled');
    expect(sent().flatMap((message) => keysOf(message))).toEqual([
      'user:1',
      'user:2',
    ]);
  });

  it('keeps a burst that Redis does not take, and counts it as one message', async () => {
    const { publisher, transport, resume, sent, delivered } = start();
    transport.writable = false;
    const receipts = [
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 2),
    ];
    expect(publisher.pending).toBe(1);
    expect((await receipts[0])?.status).toBe('queued');
    expect((await receipts[1])?.status).toBe('queued');
    expect(delivered.map(said)).toEqual(['user:1,user:2']);
    expect(publisher.outboxSize).toBe(1);
    transport.writable = true;
    resume();
    await eventually(() => expect(sent().map(said)).toEqual(['user:1,user:2']));
  });

  it('joins what leaves a scope after the commit', async () => {
    const { publisher, sent, delivered } = start();
    await InvalidationScope.run(async () => {
      await publisher.invalidate('User', 1);
      await publisher.invalidate('User', 2);
      await publisher.update('User', 3);
      await publisher.invalidate('Post', 4);
      await publisher.invalidate('Post', 5);
      expect(sent()).toEqual([]);
    });
    expect(sent().map(said)).toEqual([
      'user:1,user:2',
      'User:3',
      'post:4,post:5',
    ]);
    expect(delivered).toHaveLength(3);
  });

  it('delivers what a synchronous scope held before it returns', async () => {
    const { publisher, sent, delivered, queue } = start();
    InvalidationScope.run(() => {
      void publisher.invalidate('User', 1);
      void publisher.invalidate('User', 2);
    });
    expect(delivered.map(said)).toEqual(['User:1', 'User:2']);
    await queue.whenIdle();
    expect(sent().map(said)).toEqual(['user:1,user:2']);
    expect(delivered).toHaveLength(2);
  });

  it('joins a tick of synchronous callers, who each deliver at once', async () => {
    const { pipeline, sent, delivered, queue } = start();
    for (const id of [1, 2]) {
      void pipeline.publish(() => entity('User', id), { wait: false });
      expect(delivered).toHaveLength(id);
    }
    await queue.whenIdle();
    expect(sent().map(said)).toEqual(['user:1,user:2']);
  });

  it('joins what follows by cascade rules as well', async () => {
    const { publisher, sent } = start({
      cascade: { User: (id) => [entity('Feed', id)] },
    });
    const receipts = await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 2),
    ]);
    expect(sent().map(said)).toEqual(['user:1,feed:1,user:2,feed:2']);
    expect(receipts[1]).toMatchObject({
      status: 'delivered',
      messageId: sent()[0]?.messageId,
    });
  });

  it('joins the publishes of one trace, and not those of two', async () => {
    const { publisher, sent, stream } = start();
    const traces = new AsyncLocalStorage<string>();
    const ended: string[] = [];
    const tracer: InvalidationTracer = {
      traceId: () => traces.getStore() ?? null,
      publishing: () => {
        const trace = { traceparent: traces.getStore() ?? 'none' };
        return {
          trace,
          end: (status) => ended.push(`${trace.traceparent} ${status}`),
        };
      },
      delivering: (_message, deliver) => deliver(),
      handling: (_message, _handler, handle) => void handle(),
    };
    stream.tracing.use(tracer);
    const user = (trace: string, id: number) =>
      traces.run(trace, () => publisher.invalidate('User', id));
    await Promise.all([user('a', 1), user('a', 2), user('b', 3), user('b', 4)]);
    expect(sent().map((one) => [said(one), one.trace])).toEqual([
      ['user:1,user:2', { traceparent: 'a' }],
      ['user:3,user:4', { traceparent: 'b' }],
    ]);
    expect(ended).toEqual(['a delivered', 'b delivered']);
  });

  it('publishes by itself what a hook of the tracer publishes meanwhile', async () => {
    const { publisher, sent, stream } = start();
    let published = 0;
    const later: Promise<unknown>[] = [];
    stream.tracing.use({
      traceId: () => 'one',
      publishing: () => {
        if (++published === 1) later.push(publisher.invalidate('User', 3));
        return null;
      },
      delivering: (_message, deliver) => deliver(),
      handling: (_message, _handler, handle) => void handle(),
    });
    await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 2),
    ]);
    await Promise.all(later);
    expect(sent().map(said)).toEqual(['user:1,user:2', 'User:3']);
  });

  it('ends the span of synchronous callers, who wait for nothing', async () => {
    const { pipeline, queue, stream } = start();
    const ended: string[] = [];
    stream.tracing.use({
      traceId: () => 'one',
      publishing: () => ({ trace: null, end: (status) => ended.push(status) }),
      delivering: (_message, deliver) => deliver(),
      handling: (_message, _handler, handle) => void handle(),
    });
    for (const id of [1, 2]) {
      void pipeline.publish(() => entity('User', id), { wait: false });
    }
    await queue.whenIdle();
    expect(ended).toEqual(['pending']);
  });

  it.each([
    ['for callers without a trace, whose baggage may differ', () => null],
    ['while the tracer cannot tell the trace', undefined],
  ])('joins nothing %s', async (_, traceId) => {
    const { publisher, sent, stream } = start();
    stream.tracing.use({
      ...PLAIN,
      ...(traceId && { traceId }),
    });
    await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidate('User', 2),
    ]);
    expect(sent().map(said)).toEqual(['User:1', 'User:2']);
  });

  it('records the offset for each request that has joined', async () => {
    const { publisher, offsets } = start();
    const request = (id: number) =>
      offsets.run(async (offset) => {
        const receipt = await publisher.invalidate('User', id);
        return [offset(), receipt.offset];
      });
    const [[first, offset], [second]] = await Promise.all([
      request(1),
      request(2),
    ]);
    expect(offset).toBeTypeOf('string');
    expect([first, second]).toEqual([offset, offset]);
  });

  it('keeps every key between the messages that surround it, in any mixture', async () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 0, max: 20 }) },
      fc.constantFrom('User:1', 'feed:*', '*', 'tick'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { publisher, sent, finish } = start({ maxBatchSize: 4 });
        for (const each of steps) {
          if (typeof each === 'number') void publisher.invalidate('User', each);
          else if (each === 'tick') await nextTurn();
          else if (each === 'User:1') void publisher.update('User', 1);
          else if (each === 'feed:*') void publisher.invalidatePattern(each);
          else void publisher.invalidateAll();
        }
        await finish();
        const expected = steps
          .filter((each) => each !== 'tick')
          .map((each) => (typeof each === 'number' ? [`user:${each}`] : each));
        const actual = sent().map((message) =>
          message.action === 'Delete' || message.action === 'Batch'
            ? keysOf(message)!
            : said(message),
        );
        expect(joined(actual)).toEqual(joined(expected));
      }),
      { numRuns: 60 },
    );
  });

  it('reaches handlers of its types, bound by nothing but the keys', async () => {
    const seen: string[] = [];
    class Users {
      @OnInvalidation('User')
      changed(message: InvalidationMessage) {
        seen.push(said(message));
      }
    }
    class Feeds {
      @OnInvalidation('Feed')
      changed() {
        seen.push('no feed has changed');
      }
    }
    const writer = await startApp({ coalesce: true });
    await startApp({ channel: writer.channel, providers: [Users, Feeds] });
    await Promise.all([
      writer.publisher.invalidate('User', 1),
      writer.publisher.invalidate('Post', 2),
    ]);
    await eventually(() => expect(seen).toEqual(['user:1,post:2']));
  });
});
