import { Logger } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { InvalidationRedisError } from '../../lib/errors/index.js';
import {
  entity,
  everything,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import type { InvalidationTracer } from '../../lib/stream/index.js';
import { said } from '../support/app.js';
import { makePublisher } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

/** Lets everything run that needs no time. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A tracer that notes the begin and the end of each span. */
class Tracer implements InvalidationTracer {
  readonly notes: string[] = [];

  publishing(message: InvalidationMessage) {
    const what = said(message);
    this.notes.push(`begin ${what}`);
    return {
      trace: null,
      end: (status: string) => this.notes.push(`end ${what} ${status}`),
    };
  }

  delivering(message: InvalidationMessage, deliver: () => void): void {
    this.notes.push(`deliver ${said(message)}`);
    deliver();
  }

  handling(
    _message: InvalidationMessage,
    _handler: string,
    handle: () => unknown,
  ): void {
    void handle();
  }
}

function makeTraced(options: Parameters<typeof makePublisher>[0] = {}) {
  const parts = makePublisher(options);
  const tracer = new Tracer();
  parts.stream.tracing.use(tracer);
  return { ...parts, tracer };
}

const user = (id: string) => () => entity('User', id);

describe('PublishPipeline: spans', () => {
  it('end with the status, before the caller has its receipt', async () => {
    const { pipeline, tracer, transport } = makeTraced();
    await pipeline
      .publish(user('1'), { wait: true })
      .then(({ status }) => tracer.notes.push(`receipt ${status}`));
    transport.writable = false;
    await pipeline.publish(user('2'), { wait: true });
    expect(tracer.notes).toEqual([
      'begin User:1',
      'deliver User:1',
      'end User:1 delivered',
      'receipt delivered',
      'begin User:2',
      'deliver User:2',
      'end User:2 queued',
    ]);
  });

  it('end at once as pending where the caller does not wait', async () => {
    const { pipeline, tracer } = makeTraced();
    const receipt = await pipeline.publish(user('1'), { wait: false });
    expect(receipt).toEqual({
      status: 'queued',
      messageId: null,
      receivers: null,
      offset: null,
    });
    expect(tracer.notes).toEqual([
      'begin User:1',
      'deliver User:1',
      'end User:1 pending',
    ]);
  });

  it('begin at once for a stored row, which no scope holds back, and for what follows from it', async () => {
    const { publisher, tracer } = makeTraced({
      cascade: { User: (id) => [entity('Feed', id)] },
    });
    const stored = publisher.prepare(entity('User', 1));
    await InvalidationScope.run(() => publisher.publishStored(stored));
    expect(tracer.notes).toEqual([
      'begin User:1',
      'begin Feed:1',
      'deliver User:1',
      'end User:1 delivered',
      'deliver Feed:1',
      'end Feed:1 delivered',
    ]);
  });

  it('begin at the end of a scope', async () => {
    const { pipeline, tracer } = makeTraced();
    await InvalidationScope.run(async () => {
      await pipeline.publish(user('1'), { wait: true });
      expect(tracer.notes).toEqual([]);
    });
    expect(tracer.notes).toEqual([
      'begin User:1',
      'deliver User:1',
      'end User:1 delivered',
    ]);
  });
});

describe('PublishPipeline: what scopes hold', () => {
  it('is bounded by outboxLimit and queueByteLimit, and counted when it collapses', async () => {
    for (const limits of [{ outboxLimit: 2 }, { queueByteLimit: 1_200 }]) {
      const { publisher, sent, meter } = makePublisher(limits);
      await InvalidationScope.run(async () => {
        await publisher.invalidate('User', 1);
        await publisher.invalidate('User', 2);
        expect(meter.totals.widened).toBe(0);
        await publisher.invalidate('User', 3);
        expect([...meter.widenedBy]).toEqual([['scope-overflow', 1]]);
      });
      expect(sent().map(said)).toEqual(['user:*']);
    }
  });

  it('is stamped anew when it leaves', async () => {
    const { publisher, sent, delivered, pipeline } = makePublisher();
    const { messageId } = await publisher.invalidate('User', 1);
    const [held] = delivered;
    await pipeline.publishHeld([held!], { wait: true });
    expect(sent()).toHaveLength(2);
    expect(sent()[1]!.messageId).not.toBe(messageId);
    expect(sent()[1]).toMatchObject({ entityId: '1' });
  });

  it('is reported, and not sent, after the shutdown', async () => {
    const { publisher, sent, delivered, pipeline, errors } = makePublisher();
    await publisher.invalidate('User', 1);
    pipeline.close();
    await pipeline.publishHeld([delivered[0]!], { wait: true });
    expect(sent()).toHaveLength(1);
    expect(delivered).toHaveLength(1);
    expect(errors).toMatchObject([
      {
        message:
          'The application has shut down; this invalidation cannot be sent. Publish before onApplicationShutdown, for example in onModuleDestroy.',
      },
    ]);
    expect(errors[0]).toBeInstanceOf(InvalidationRedisError);
  });
});

describe('PublishPipeline: send()', () => {
  it('is not held back by a scope', async () => {
    const { pipeline, delivered, instance, encoderOf } = makeSending();
    await InvalidationScope.run(async () => {
      const receipt = await pipeline.send(encoderOf('1'), { wait: true });
      expect(receipt.status).toBe('delivered');
    });
    expect(delivered.map(said)).toEqual(['User:1']);
    expect(delivered[0]!.origin).toBe(instance.origin);
  });

  it('gives a disabled receipt, and does not encode, where the module is disabled', async () => {
    const { pipeline, sent } = makePublisher({ enabled: false });
    const receipt = await pipeline.send(
      () => {
        throw new Error('Nothing is to be encoded.');
      },
      { wait: true },
    );
    expect(receipt.status).toBe('disabled');
    expect(sent()).toEqual([]);
  });

  it('throws after the shutdown, before it encodes', () => {
    const { pipeline } = makePublisher();
    pipeline.close();
    expect(() =>
      pipeline.send(
        () => {
          throw new Error('Nothing is to be encoded.');
        },
        { wait: true },
      ),
    ).toThrow('The application has shut down');
  });
});

function makeSending() {
  const parts = makePublisher();
  const encoderOf = (id: string) => () => [
    {
      message: parts.instance.stamp(entity('User', id)),
      payload: parts.publisher.prepare(entity('User', id)).text,
    },
  ];
  return { ...parts, encoderOf };
}

describe('PublishPipeline: publishEverything()', () => {
  it('resolves once Redis has taken it', async () => {
    const { pipeline, transport } = makePublisher();
    transport.obliging = false;
    let over = false;
    const publishing = pipeline
      .publishEverything()
      .finally(() => (over = true));
    await breathe();
    expect(transport.calls).toHaveLength(1);
    expect(over).toBe(false);
    transport.call(0).succeed();
    expect(await publishing).toMatchObject({ status: 'delivered' });
  });

  it('is not held back by a scope', async () => {
    const { pipeline, delivered } = makePublisher();
    await InvalidationScope.run(async () => {
      await pipeline.publishEverything();
      expect(delivered.map(said)).toEqual(['*']);
    });
    expect(delivered).toHaveLength(1);
  });

  it('rejects after the shutdown, and does not throw', async () => {
    const { pipeline } = makePublisher();
    pipeline.close();
    const publishing = pipeline.publishEverything();
    await expect(publishing).rejects.toThrow('The application has shut down');
  });
});

describe('PublishPipeline: enqueue()', () => {
  it('gives the id of the last message of a batch, and not of its cascade', async () => {
    const { publisher, sent } = makePublisher({
      cascade: { User: (id) => [entity('Feed', id)] },
    });
    const keys = Array.from({ length: 12 }, (_, id) => `user:${id}`);
    const { messageId } = await publisher.invalidateBatch(keys);
    expect(sent()).toHaveLength(14);
    expect(messageId).toBe(sent()[1]!.messageId);
  });

  it('leaves a batch without keys to no scope', async () => {
    const { publisher } = makePublisher();
    const receipt = await InvalidationScope.run(() =>
      publisher.invalidateBatch([]),
    );
    expect(receipt.status).toBe('disabled');
  });

  it('does not wait for Redis where the caller does not', async () => {
    const { pipeline, transport, delivered, queue } = makePublisher();
    transport.obliging = false;
    await pipeline.publish(everything, { wait: false });
    expect(delivered.map(said)).toEqual(['*']);
    await breathe();
    expect(transport.calls).toHaveLength(1);
    expect(queue.pending).toBe(1);
  });
});
