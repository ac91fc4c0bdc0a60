import { Logger } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import type { ScriptedTransport } from '../support/scripted.transport.js';
import {
  InvalidationSerializationError,
  InvalidMessageError,
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../../lib/errors/index.js';
import {
  affects,
  batch,
  buildCacheKey,
  entity,
  everything,
  Instance,
  pattern,
} from '../../lib/message/index.js';
import {
  InvalidationPublisher,
  type PublishReceipt,
} from '../../lib/publisher/index.js';
import { eventually } from '../support/eventually.js';
import {
  makePublisher as makeRoomy,
  type PublisherOptions,
} from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const makePublisher = (options: Partial<PublisherOptions> = {}) =>
  makeRoomy({ outboxLimit: 100, ...options });

type Publish = (publisher: InvalidationPublisher) => Promise<PublishReceipt>;

describe('InvalidationPublisher: methods', () => {
  const deleted = (entityType: string, entityId: string) => ({
    action: 'Delete',
    entityType,
    entityId,
    pattern: null,
    entityIds: null,
  });
  const table: [string, Publish, Record<string, unknown>][] = [
    ['invalidate', (p) => p.invalidate('User', 1), deleted('User', '1')],
    [
      'invalidate (own type)',
      (p) => p.invalidate('x y', 'a:b'),
      deleted('x y', 'a:b'),
    ],
    ['invalidateUser', (p) => p.invalidateUser(1n), deleted('User', '1')],
    ['invalidatePost', (p) => p.invalidatePost('p'), deleted('Post', 'p')],
    [
      'invalidateComment',
      (p) => p.invalidateComment('c'),
      deleted('Comment', 'c'),
    ],
    [
      'invalidateNotification',
      (p) => p.invalidateNotification('n'),
      deleted('Notification', 'n'),
    ],
    ['invalidateFeed', (p) => p.invalidateFeed('f'), deleted('Feed', 'f')],
    [
      'invalidateCustom',
      (p) => p.invalidateCustom('session', 's'),
      deleted('session', 's'),
    ],
    [
      'update',
      (p) => p.update('User', 1),
      { ...deleted('User', '1'), action: 'Update' },
    ],
    [
      'invalidateBatch',
      (p) => p.invalidateBatch(['user:1', 'x:2']),
      {
        action: 'Batch',
        entityType: 'batch',
        entityId: null,
        entityIds: ['user:1', 'x:2'],
      },
    ],
    [
      'invalidatePattern',
      (p) => p.invalidatePattern('feed:42:*'),
      {
        action: 'Pattern',
        entityType: 'pattern',
        entityId: null,
        pattern: 'feed:42:*',
      },
    ],
    [
      'invalidateAll',
      (p) => p.invalidateAll(),
      { action: 'Pattern', pattern: '*' },
    ],
    [
      'publish (entity)',
      (p) => p.publish(entity('User', 5)),
      deleted('User', '5'),
    ],
    [
      'publish (batch)',
      (p) => p.publish(batch(['a:1'])),
      { entityIds: ['a:1'] },
    ],
    ['publish (pattern)', (p) => p.publish(pattern('a:*')), { pattern: 'a:*' }],
    ['publish (everything)', (p) => p.publish(everything()), { pattern: '*' }],
  ];

  it.each(table)('%s', async (_, publish, expected) => {
    const { publisher, instance, sent, delivered } = makePublisher();

    const receipt = await publish(publisher);

    expect(receipt).toEqual({
      status: 'delivered',
      messageId: expect.any(String),
      receivers: 1,
      offset: '1-0',
    });
    expect(sent()).toMatchObject([
      {
        ...expected,
        messageId: receipt.messageId,
        sourceService: 'test-service',
        origin: instance.origin,
        metadata: null,
      },
    ]);
    // Messages for the instance's own consumers differ only in `own`.
    expect(delivered).toEqual(sent().map((one) => ({ ...one, own: true })));
  });

  const content = { metadata: { why: ['because', 1, null] } };
  const withMetadata: [string, Publish][] = [
    ['invalidate', (p) => p.invalidate('User', 1, content)],
    ['update', (p) => p.update('User', 1, content)],
    ['invalidateUser', (p) => p.invalidateUser(1, content)],
    ['invalidatePost', (p) => p.invalidatePost(1, content)],
    ['invalidateComment', (p) => p.invalidateComment(1, content)],
    ['invalidateNotification', (p) => p.invalidateNotification(1, content)],
    ['invalidateFeed', (p) => p.invalidateFeed(1, content)],
    ['invalidateCustom', (p) => p.invalidateCustom('session', 1, content)],
    ['invalidateBatch', (p) => p.invalidateBatch(['user:1'], content)],
    ['invalidatePattern', (p) => p.invalidatePattern('a:*', content)],
    ['invalidateAll', (p) => p.invalidateAll(content)],
  ];

  it.each(withMetadata)('%s publishes metadata', async (_, publish) => {
    const { publisher, sent } = makePublisher();
    await publish(publisher);
    expect(sent()).toMatchObject([content]);
  });

  // Plain JavaScript may pass `null` for missing options.
  it.each<[string, Publish]>([
    ['invalidate', (p) => p.invalidate('User', 1, null as never)],
    ['update', (p) => p.update('User', 1, null as never)],
    ['invalidateUser', (p) => p.invalidateUser(1, null as never)],
    ['invalidateCustom', (p) => p.invalidateCustom('s', 1, null as never)],
    ['invalidateBatch', (p) => p.invalidateBatch(['s:1'], null as never)],
    ['invalidatePattern', (p) => p.invalidatePattern('s:*', null as never)],
    ['invalidateAll', (p) => p.invalidateAll(null as never)],
  ])('%s accepts null for the content', async (_, publish) => {
    const { publisher, sent } = makePublisher();
    await publish(publisher);
    expect(sent()).toMatchObject([{ metadata: null, widened: null }]);
  });

  it('publish() gives a foreign message a new id and origin', async () => {
    const { publisher, instance, sent } = makePublisher();
    const foreign = new Instance('other').stamp(entity('User', '1'));

    const receipt = await publisher.publish(foreign);

    expect(receipt.messageId).not.toBe(foreign.messageId);
    expect(sent()).toMatchObject([
      {
        entityId: '1',
        sourceService: 'test-service',
        origin: instance.origin,
      },
    ]);
  });
});

describe('InvalidationPublisher: invalid arguments', () => {
  const circular: Record<string, unknown> = {};
  circular['itself'] = circular;
  // Untyped callers may pass anything.
  const untyped = (value: unknown): never => value as never;
  const tooDeep = JSON.parse('['.repeat(100) + ']'.repeat(100));
  const table: [
    string,
    Publish,
    typeof InvalidMessageError | typeof InvalidationSerializationError,
  ][] = [
    ['an empty id', (p) => p.invalidateUser(''), InvalidMessageError],
    ['NaN', (p) => p.invalidateUser(NaN), InvalidMessageError],
    [
      'undefined',
      (p) => p.invalidateUser(untyped(undefined)),
      InvalidMessageError,
    ],
    ['null', (p) => p.invalidatePost(untyped(null)), InvalidMessageError],
    ['an object', (p) => p.invalidateFeed(untyped({})), InvalidMessageError],
    [
      'a symbol',
      (p) => p.invalidateFeed(untyped(Symbol('x'))),
      InvalidMessageError,
    ],
    [
      'half a character',
      (p) => p.invalidateUser('\ud800'),
      InvalidMessageError,
    ],
    ['an empty type', (p) => p.invalidate('', 1), InvalidMessageError],
    ['a type with a colon', (p) => p.update('a:b', 1), InvalidMessageError],
    [
      'no type',
      (p) => p.invalidate(untyped(undefined), 1),
      InvalidMessageError,
    ],
    [
      'a built-in type as custom',
      (p) => p.invalidateCustom('User', 1),
      InvalidMessageError,
    ],
    [
      'a bare id in a batch',
      (p) => p.invalidateBatch(['user:1', '2']),
      InvalidMessageError,
    ],
    [
      'a number in a batch',
      (p) => p.invalidateBatch(untyped([1])),
      InvalidMessageError,
    ],
    [
      'no batch',
      (p) => p.invalidateBatch(untyped(undefined)),
      InvalidMessageError,
    ],
    [
      'a string for a batch',
      (p) => p.invalidateBatch(untyped('user:1')),
      InvalidMessageError,
    ],
    ['an empty pattern', (p) => p.invalidatePattern(''), InvalidMessageError],
    [
      'no pattern',
      (p) => p.invalidatePattern(untyped(null)),
      InvalidMessageError,
    ],
    [
      'a pattern of everything',
      (p) => p.invalidatePattern('**'),
      InvalidMessageError,
    ],
    [
      'a pattern too long',
      (p) => p.invalidatePattern(`a:${'b'.repeat(2_000)}`),
      InvalidMessageError,
    ],
    [
      'circular metadata',
      (p) => p.invalidateUser(1, { metadata: circular }),
      InvalidationSerializationError,
    ],
    [
      'a bigint as metadata',
      (p) => p.invalidateUser(1, { metadata: 1n }),
      InvalidationSerializationError,
    ],
    [
      'a function as metadata',
      (p) => p.invalidateAll({ metadata: () => 1 }),
      InvalidationSerializationError,
    ],
    [
      'metadata without a bottom',
      (p) => p.invalidateAll({ metadata: tooDeep }),
      InvalidationSerializationError,
    ],
    [
      'an id larger than a message',
      (p) => p.invalidateUser('x'.repeat(2_000)),
      InvalidationSerializationError,
    ],
    [
      'one key larger than a message',
      (p) => p.invalidateBatch(['a:1', `a:${'x'.repeat(2_000)}`]),
      InvalidationSerializationError,
    ],
    [
      'nothing at all',
      (p) => p.publish(untyped(undefined)),
      InvalidMessageError,
    ],
    ...[
      undefined,
      null,
      'text',
      {},
      { text: 5 },
      { text: null },
      { text: '' },
    ].map((stored): (typeof table)[number] => [
      `nothing that was prepared: ${JSON.stringify(stored)}`,
      (p) => p.publishStored(untyped(stored)),
      InvalidMessageError,
    ]),
  ];

  it.each(table)('%s: rejects, and never throws', async (_, publish, type) => {
    const { publisher, transport, delivered, errors } = makePublisher();

    // A synchronous exception would surface here.
    const publishing = publish(publisher);

    await expect(publishing).rejects.toBeInstanceOf(type);
    expect(transport.calls).toEqual([]);
    expect(delivered).toEqual([]);
    expect(errors).toEqual([]);
    expect(publisher.pending).toBe(0);
  });

  it('reports the field and the advice', async () => {
    const { publisher } = makePublisher();
    await expect(publisher.invalidateUser('')).rejects.toMatchObject({
      name: 'InvalidMessageError',
      code: 'CACHE_INVALIDATION_INVALID_MESSAGE',
      field: 'entity_id',
      advice: expect.stringMatching(/./),
    });
  });
});

describe('InvalidationPublisher: invalidateBatch()', () => {
  const keys = (count: number, length = 1): string[] =>
    Array.from({ length: count }, (_, i) =>
      buildCacheKey('User', String(i).padStart(length, '0')),
    );

  it('publishes no message without keys', async () => {
    const { publisher, transport, delivered } = makePublisher();
    expect(await publisher.invalidateBatch([])).toEqual({
      status: 'disabled',
      messageId: null,
      receivers: null,
      offset: null,
    });
    expect(transport.calls).toEqual([]);
    expect(delivered).toEqual([]);
  });

  it.each([
    [1, [1]],
    [10, [10]],
    [11, [10, 1]],
    [25, [10, 10, 5]],
  ])('splits %i keys into messages of %j', async (count, sizes) => {
    const { publisher, sent, transport } = makePublisher();

    const receipt = await publisher.invalidateBatch(keys(count), {
      metadata: 'why',
    });

    const messages = sent();
    expect(messages.map(({ entityIds }) => entityIds!.length)).toEqual(sizes);
    expect(messages.flatMap(({ entityIds }) => entityIds)).toEqual(keys(count));
    expect(messages.every(({ metadata }) => metadata === 'why')).toBe(true);
    expect(transport.calls).toHaveLength(1);
    expect(receipt).toMatchObject({
      status: 'delivered',
      messageId: messages.at(-1)!.messageId,
    });
    expect(new Set(messages.map(({ messageId }) => messageId)).size).toBe(
      sizes.length,
    );
  });

  it('splits long keys by bytes, and cuts no key off', async () => {
    const { publisher, sent, transport } = makePublisher();
    const long = keys(10, 200);

    await publisher.invalidateBatch(long);

    expect(sent().length).toBeGreaterThan(1);
    expect(sent().flatMap(({ entityIds }) => entityIds)).toEqual(long);
    for (const payload of transport.sent.flat()) {
      expect(Buffer.byteLength(payload)).toBeLessThanOrEqual(1_024);
    }
  });

  it('returns a queued receipt when a part was refused', async () => {
    const { publisher, transport } = makePublisher();
    transport.obliging = false;
    const publishing = publisher.invalidateBatch(keys(15));
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.obliging = true;
    transport.call(0).answer(new Error('refused'), 3);
    expect(await publishing).toMatchObject({
      status: 'queued',
      receivers: null,
    });
  });

  it('copies the array of keys', async () => {
    const { publisher, sent } = makePublisher();
    const mine = keys(2);
    const publishing = publisher.invalidateBatch(mine);
    mine.length = 0;
    await publishing;
    expect(sent()).toMatchObject([{ entityIds: keys(2) }]);
  });
});

describe('InvalidationPublisher: the receipt of a split batch', () => {
  const keys = Array.from({ length: 25 }, (_, i) => `user:${i}`);

  it('has the offset of the last part', async () => {
    const { publisher, transport } = makePublisher();
    transport.obliging = false;
    const publishing = publisher.invalidateBatch(keys);
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport
      .call(0)
      .answer(
        { receivers: 3, offset: '9-1' },
        { receivers: 4, offset: '9-2' },
        { receivers: 5, offset: '10-0' },
      );

    expect(await publishing).toMatchObject({
      status: 'delivered',
      receivers: 5,
      offset: '10-0',
    });
  });

  it.each([0, 1, 2])(
    'has no offset while part %i is queued',
    async (refused) => {
      const { publisher, transport, sent } = makePublisher();
      transport.obliging = false;
      const publishing = publisher.invalidateBatch(keys);
      await eventually(() => expect(transport.calls).toHaveLength(1));
      transport
        .call(0)
        .answer(
          ...[0, 1, 2].map((part) =>
            part === refused ? new Error('refused') : 1,
          ),
        );

      expect(await publishing).toEqual({
        status: 'queued',
        messageId: sent()[2]!.messageId,
        receivers: null,
        offset: null,
      });
    },
  );
});

describe('InvalidationPublisher: OffsetScope', () => {
  it('has the last offset of its own request while other requests publish', async () => {
    const { publisher, transport, offsets } = makePublisher();
    transport.obliging = false;
    const places = new Map<string, string | null>();
    const requests = ['a', 'b', 'c'].map((name) =>
      offsets.run(async (offset) => {
        expect(offset()).toBeNull();
        await publisher.invalidateUser(`${name}1`);
        const first = offset();
        await publisher.invalidateUser(`${name}2`);
        expect(offset()).not.toBe(first);
        places.set(name, offset());
      }),
    );
    await eventually(() => expect(transport.calls).toHaveLength(1));
    await answer(transport, 0, ['5-1', '5-2', '5-3']);
    await answer(transport, 1, ['6-1', '6-2', '6-3']);
    await Promise.all(requests);

    expect([...places]).toEqual([
      ['a', '6-1'],
      ['b', '6-2'],
      ['c', '6-3'],
    ]);
  });

  it('has the greatest offset, in whatever order the replies arrive', async () => {
    const { publisher, transport, offsets } = makePublisher();
    transport.obliging = false;
    await offsets.run(async (offset) => {
      const publishing = [publisher.invalidateUser(1)];
      await eventually(() => expect(transport.calls).toHaveLength(1));
      publishing.push(publisher.invalidateUser(2));
      await answer(transport, 1, ['10-0']);
      await publishing[1];
      expect(offset()).toBe('10-0');
      await answer(transport, 0, ['9-7']);
      await publishing[0];
      expect(offset()).toBe('10-0');
    });
  });

  it('has no offset for a queued message or a message published outside', async () => {
    const { publisher, transport, offsets, resume, queue } = makePublisher();
    const seen = await offsets.run(async (offset) => {
      transport.writable = false;
      await publisher.invalidateUser(1);
      return offset;
    });
    transport.writable = true;
    resume();
    await queue.whenIdle();
    const { offset } = await publisher.invalidateUser(2);

    expect(offset).not.toBeNull();
    expect(seen()).toBeNull();
  });

  it('includes all parts of a split batch, and keeps nested scopes apart', async () => {
    const { publisher, offsets } = makePublisher();
    await offsets.run(async (outer) => {
      await publisher.invalidateBatch(
        Array.from({ length: 25 }, (_, i) => `user:${i}`),
      );
      expect(outer()).toBe('3-0');
      await offsets.run(async (inner) => {
        await publisher.invalidateUser(1);
        expect(inner()).toBe('4-0');
      });
      expect(outer()).toBe('3-0');
    });
  });
});

async function answer(
  transport: ScriptedTransport,
  index: number,
  offsets: string[],
): Promise<void> {
  await eventually(() => expect(transport.calls.length).toBeGreaterThan(index));
  transport
    .call(index)
    .answer(...offsets.map((offset) => ({ receivers: 1, offset })));
}

describe('InvalidationPublisher: an echo before the reply', () => {
  it('delivers the own message once', async () => {
    const { publisher, transport, delivered, sent, own, queue } =
      makePublisher();
    transport.obliging = false;
    const publishing = publisher.invalidateUser(1);
    await eventually(() => expect(transport.calls).toHaveLength(1));
    own.received(sent()[0]!.messageId);
    expect(delivered).toMatchObject([{ entityId: '1', own: true }]);

    transport.call(0).succeed(2);
    expect(await publishing).toMatchObject({
      status: 'delivered',
      receivers: 2,
      offset: '1-0',
    });
    expect(queue.lastOffset).toBe('1-0');
    expect(delivered).toHaveLength(1);
  });

  it('does not deliver again a message that was delivered with wait: false', async () => {
    const { delivered, pipeline, own, queue } = makePublisher();
    void pipeline.publish(() => entity('User', '1'), { wait: false });
    own.received(delivered[0]!.messageId);
    await queue.whenIdle();
    expect(delivered).toHaveLength(1);
  });
});

describe('InvalidationPublisher: receipts', () => {
  it('belong to their messages when several are sent in one call', async () => {
    const { publisher, transport, sent } = makePublisher();
    transport.obliging = false;
    const publishing = ['1', '2', '3'].map((id) =>
      publisher.invalidateUser(id),
    );
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).answer(5, new Error('refused'), 7);

    const receipts = await Promise.all(publishing);

    expect(receipts).toMatchObject([
      { status: 'delivered', receivers: 5 },
      { status: 'queued', receivers: null },
      { status: 'delivered', receivers: 7 },
    ]);
    expect(receipts.map(({ messageId }) => messageId)).toEqual(
      sent()
        .slice(0, 3)
        .map(({ messageId }) => messageId),
    );
  });

  it('are queued while Redis is away', async () => {
    const { publisher, transport } = makePublisher();
    transport.writable = false;
    expect(await publisher.invalidateUser('1')).toEqual({
      status: 'queued',
      messageId: expect.any(String),
      receivers: null,
      offset: null,
    });
    expect(publisher.pending).toBe(1);
    expect(publisher.outboxSize).toBe(1);
    transport.writable = true;
  });

  it('are disabled when the module is disabled, even for invalid arguments', async () => {
    const { publisher, transport, delivered } = makePublisher({
      enabled: false,
    });
    expect(await publisher.invalidateUser('1')).toMatchObject({
      status: 'disabled',
    });
    expect(await publisher.invalidateUser('')).toMatchObject({
      status: 'disabled',
    });
    expect(transport.calls).toEqual([]);
    expect(delivered).toEqual([]);
  });
});

describe('InvalidationPublisher: messages in the outbox', () => {
  it('do not change when the caller changes the metadata', async () => {
    const { publisher, transport, sent, delivered, resume, queue } =
      makePublisher();
    transport.writable = false;
    const metadata: Record<string, unknown> = { reason: 'renamed' };
    await publisher.invalidateUser('1', { metadata });

    // A circular reference, as an ORM adds to an entity that was passed as
    // metadata.
    metadata['itself'] = metadata;
    transport.writable = true;
    resume();
    await queue.whenIdle();

    expect(sent()).toMatchObject([{ metadata: { reason: 'renamed' } }]);
    expect(delivered[0]!.metadata).toEqual({ reason: 'renamed' });
  });

  it.each<[string, (p: InvalidationPublisher, keys: string[]) => unknown]>([
    ['batch()', (p, keys) => p.publish(batch(keys))],
    ['invalidateBatch()', (p, keys) => p.invalidateBatch(keys)],
    [
      'plain JavaScript',
      (p, entityIds) => p.publish({ action: 'Batch', entityIds } as never),
    ],
  ])(
    'keep every key of a batch when its caller or a handler changes the array: %s',
    async (_, publish) => {
      for (const count of [2, 12]) {
        const { publisher, transport, sent, delivered, resume, queue } =
          makePublisher();
        transport.writable = false;
        const keys = Array.from({ length: count }, (__, id) => `user:${id}`);
        const mine = [...keys];
        await publish(publisher, mine);

        mine.length = 0;
        for (const { entityIds } of delivered) {
          expect(() => (entityIds as string[]).pop()).toThrow(TypeError);
        }
        transport.writable = true;
        resume();
        await queue.whenIdle();

        expect(sent().flatMap(({ entityIds }) => entityIds)).toEqual(keys);
      }
    },
  );

  it('are sent when their collapsed message is larger than maxMessageBytes', async () => {
    const { publisher, transport, sent, resume, queue } = makePublisher({
      outboxLimit: 1,
    });
    transport.writable = false;
    // Each character is one byte in an id, and three in a pattern written as JSON.
    const type = '*'.repeat(480);
    await publisher.invalidate(type, '1');
    await publisher.invalidate(type, '2');

    transport.writable = true;
    resume();
    await queue.whenIdle();

    expect(sent()).toHaveLength(1);
    expect(affects(sent()[0]!, `${type}:1`)).toBe(true);
  });
});

describe('PublishPipeline.publish() with wait: false', () => {
  it('delivers to this instance before it returns, and to Redis afterwards', async () => {
    const { sent, delivered, pipeline, queue } = makePublisher();

    void pipeline.publish(() => entity('User', '1'), { wait: false });

    expect(delivered).toMatchObject([{ entityId: '1', own: true }]);
    expect(sent()).toEqual([]);
    await queue.whenIdle();
    expect(sent()).toMatchObject([{ entityId: '1' }]);
    expect(delivered).toHaveLength(1);
  });

  it('keeps the order of other publishes', async () => {
    const { publisher, sent, pipeline, queue } = makePublisher();
    void publisher.invalidateUser('1');
    void pipeline.publish(() => entity('User', '2'), { wait: false });
    void publisher.invalidateUser('3');
    await queue.whenIdle();
    expect(sent().map(({ entityId }) => entityId)).toEqual(['1', '2', '3']);
  });
});

describe('InvalidationPublisher: shutdown', () => {
  it('waits for messages in flight', async () => {
    const { publisher, transport, errors, shutdown } = makePublisher();
    transport.obliging = false;
    const publishing = publisher.invalidateUser('1');
    let stopped = false;
    const stopping = shutdown.run().then(() => (stopped = true));
    await eventually(() => expect(transport.calls).toHaveLength(1));
    expect(stopped).toBe(false);

    transport.call(0).succeed();
    await stopping;

    expect(await publishing).toMatchObject({ status: 'delivered' });
    expect(publisher.pending).toBe(0);
    expect(errors).toEqual([]);
  });

  it('waits no longer than shutdownTimeout, and reports the number of lost messages', async () => {
    const { publisher, transport, errors, shutdown } = makePublisher({
      shutdownTimeout: 20,
    });
    transport.writable = false;
    for (const id of ['1', '2', '3']) await publisher.invalidateUser(id);

    await shutdown.run();

    expect(errors).toHaveLength(1);
    expect(errors[0]).toBeInstanceOf(InvalidationTimeoutError);
    expect(errors[0]!.message).toMatch(/^3 invalidations could not be sent/);
  });

  it.each<[string, Publish]>([
    ['one entity', (p) => p.invalidateUser('1')],
    ['everything', (p) => p.invalidateAll()],
    ['a batch of none', (p) => p.invalidateBatch([])],
  ])('rejects a publish afterwards: %s', async (_, publish) => {
    const { publisher, transport, shutdown } = makePublisher();
    await shutdown.run();

    const publishing = publish(publisher);

    await expect(publishing).rejects.toBeInstanceOf(InvalidationRedisError);
    await expect(publishing).rejects.toThrow('shut down');
    expect(transport.calls).toEqual([]);
  });

  it('may run twice', async () => {
    const { errors, shutdown } = makePublisher();
    await shutdown.run();
    await shutdown.run();
    expect(errors).toEqual([]);
  });
});

describe('InvalidationPublisher: arguments of untyped callers', () => {
  it.each([
    { action: 'Delete', entityType: 'User', entityId: '1' },
    { action: 'Pattern', pattern: 'user:*', entityId: undefined },
    { action: 'Batch', entityIds: ['user:1'], pattern: 7 },
  ])(
    'publish() completes a message so that others can read it: %j',
    async (given) => {
      const { publisher, sent } = makePublisher();

      await publisher.publish(given as never);

      expect(sent()).toHaveLength(1);
      expect(affects(sent()[0]!, 'user:1')).toBe(true);
    },
  );

  it.each([undefined, null, {}, { action: 'Delete' }, { action: 'Batch' }])(
    'publish() rejects an empty invalidation: %j',
    async (given) => {
      const { publisher } = makePublisher();

      await expect(publisher.publish(given as never)).rejects.toThrow(
        InvalidMessageError,
      );
    },
  );

  // Readers would evict everything, and this instance nothing.
  it.each([[['1', '2']], [['user:1', '2']], [[':1']], [['user:1', 3]]])(
    'publish() rejects a batch of texts that are not keys as batch() does: %j',
    async (entityIds) => {
      const { publisher, sent, delivered } = makePublisher();
      const given = { action: 'Batch', entityIds } as never;

      await expect(publisher.publish(given)).rejects.toMatchObject({
        name: 'InvalidMessageError',
        field: 'entity_ids',
        advice: expect.stringContaining('buildCacheKey'),
      });

      expect(() => publisher.prepare(given)).toThrow('not a cache key');
      expect(sent()).toEqual([]);
      expect(delivered).toEqual([]);
    },
  );

  it('publish() sends keys that other publishers may have sent unchanged', async () => {
    const { publisher, sent, delivered } = makePublisher();
    const entityIds = ['User:1', 'user:'];

    await publisher.publish({ action: 'Batch', entityIds } as never);

    expect(sent()).toMatchObject([{ entityIds, widened: null }]);
    expect(delivered).toMatchObject([{ entityIds }]);
  });
});
