import { describe, expect, it } from 'vitest';
import { InvalidationSerializationError } from '../../lib/errors/index.js';
import {
  batch,
  entity,
  Instance,
  type Invalidation,
} from '../../lib/message/index.js';
import {
  DEFERRED,
  mergeReceipts,
  NOTHING_PUBLISHED,
  QUEUED,
  type PublishReceipt,
} from '../../lib/publisher/index.js';
import {
  encodeInParts,
  type EncodedMessage,
} from '../../lib/publisher/split-batch.js';

const instance = new Instance('test');

/** Takes as many characters of keys as fit. */
function encodeUpTo(characters: number) {
  return (invalidation: Invalidation): EncodedMessage => {
    const payload = (invalidation.entityIds ?? ['entity']).join();
    if (payload.length > characters) {
      throw new InvalidationSerializationError(
        'Too large.',
        'Make it smaller.',
      );
    }
    return { message: instance.stamp(invalidation), payload };
  };
}

const partsOf = (keys: string[], maxKeys: number, characters = Infinity) =>
  encodeInParts(batch(keys), maxKeys, encodeUpTo(characters)).map(
    ({ payload }) => payload,
  );

describe('encodeInParts()', () => {
  it('leaves whole what fits', () => {
    expect(partsOf(['a:1', 'a:2', 'a:3'], 3)).toEqual(['a:1,a:2,a:3']);
  });

  it('splits a batch of more keys than one message may have', () => {
    expect(partsOf(['a:1', 'a:2', 'a:3', 'a:4'], 3)).toEqual([
      'a:1,a:2,a:3',
      'a:4',
    ]);
  });

  it('halves a batch that is too large, until its parts fit', () => {
    const keys = ['a:1', 'a:2', 'a:3', 'a:4', 'a:5'];
    expect(partsOf(keys, 10, 11)).toEqual(['a:1,a:2,a:3', 'a:4,a:5']);
    expect(partsOf(keys, 10, 7)).toEqual(['a:1,a:2', 'a:3', 'a:4,a:5']);
    expect(partsOf(keys, 10, 3)).toEqual(keys);
    expect(partsOf(keys, 2, 3)).toEqual(keys);
  });

  it('keeps the metadata in every part, and freezes the keys', () => {
    const parts = encodeInParts(
      batch(['a:1', 'a:2', 'a:3'], 'why'),
      2,
      encodeUpTo(Infinity),
    );
    expect(parts.map(({ message }) => message.metadata)).toEqual([
      'why',
      'why',
    ]);
    for (const { message } of parts) {
      expect(Object.isFrozen(message.entityIds)).toBe(true);
    }
  });

  it('throws where one key alone, or an entity, is too large', () => {
    expect(() => partsOf(['a:1', 'a:22222'], 10, 3)).toThrow(
      InvalidationSerializationError,
    );
    expect(() => encodeInParts(entity('User', 1), 10, encodeUpTo(3))).toThrow(
      InvalidationSerializationError,
    );
  });

  it('throws what is no matter of size at once', () => {
    let tries = 0;
    const failing = (): never => {
      tries++;
      throw new TypeError('no');
    };
    expect(() => encodeInParts(batch(['a:1', 'a:2']), 10, failing)).toThrow(
      TypeError,
    );
    expect(tries).toBe(1);
  });
});

describe('mergeReceipts()', () => {
  const delivered = (messageId: string, offset: string): PublishReceipt => ({
    status: 'delivered',
    messageId,
    receivers: 1,
    offset,
  });

  it('has the id of the last message of the batch, and the last offset of its cascade', () => {
    const parts = [
      delivered('a', '1-0'),
      delivered('b', '2-0'),
      delivered('c', '3-0'),
    ];
    expect(mergeReceipts(parts, 2)).toEqual({
      ...delivered('b', '3-0'),
    });
    expect(mergeReceipts(parts, 3)).toEqual(delivered('c', '3-0'));
  });

  it('is queued if any part is, the cascade included', () => {
    const queued: PublishReceipt = { ...QUEUED, messageId: 'q' };
    expect(
      mergeReceipts([delivered('a', '1-0'), queued, delivered('c', '3-0')], 1),
    ).toEqual({ ...queued, messageId: 'a' });
  });

  it('is the receipt of nothing where nothing was published', () => {
    expect(mergeReceipts([], 0)).toEqual({
      status: 'disabled',
      messageId: null,
      receivers: null,
      offset: null,
    });
  });

  it('has the statuses of the fixed receipts', () => {
    expect([NOTHING_PUBLISHED, DEFERRED, QUEUED]).toEqual(
      ['disabled', 'deferred', 'queued'].map((status) => ({
        status,
        messageId: null,
        receivers: null,
        offset: null,
      })),
    );
  });
});
