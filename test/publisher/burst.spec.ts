import { describe, expect, it } from 'vitest';
import {
  encodeMessage,
  entity,
  Instance,
  type EntityInvalidation,
  type Invalidation,
} from '../../lib/message/index.js';
import { Burst, type BurstLimit } from '../../lib/publisher/burst.js';

const first = entity('User', 1);

function start(limit: Partial<BurstLimit> = {}) {
  const encoded: Invalidation[] = [];
  const burst = new Burst(
    first,
    { keys: 10, bytes: 1_000, ...limit },
    null,
    (invalidation) => {
      encoded.push(invalidation);
      const message = new Instance('test').stamp(invalidation);
      return { message, payload: encodeMessage(message, Infinity) };
    },
  );
  const add = (id: number, of: EntityInvalidation = first): boolean =>
    burst.add(of, `user:${id}`);
  return { burst, encoded, add };
}

describe('Burst', () => {
  it('is a batch of its keys, written once', () => {
    const { burst, encoded, add } = start();
    expect([add(1), add(2), add(1)]).toEqual([true, true, true]);
    const { message, payload } = burst;
    expect(burst.message).toBe(message);
    expect(burst.payload).toBe(payload);
    expect(burst.span).toBeUndefined();
    expect(encoded).toEqual([
      {
        action: 'Batch',
        entityType: 'batch',
        entityId: null,
        pattern: null,
        entityIds: ['user:1', 'user:2'],
        metadata: null,
      },
    ]);
    expect(Object.isFrozen(encoded[0]?.entityIds)).toBe(true);
  });

  it('is the first invalidation where nobody names another one', () => {
    const { burst, encoded, add } = start();
    add(1);
    add(1);
    expect(burst.message.entityId).toBe('1');
    expect(encoded).toEqual([first]);
  });

  it('takes as many keys as its limit, and those that it has', () => {
    const { add } = start({ keys: 2 });
    expect([add(1), add(2), add(3), add(1)]).toEqual([true, true, false, true]);
  });

  // The six characters of a key are 36 bytes at the most, with quotes and a comma 39.
  it.each([
    [38, 0],
    [39, 1],
    [77, 1],
    [78, 2],
  ])('takes in %i bytes of JSON %i keys, at the longest', (bytes, count) => {
    const { add } = start({ bytes });
    expect([add(1), add(2), add(3)].filter(Boolean)).toHaveLength(count);
  });
});
