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
    (invalidation, at) => {
      encoded.push(invalidation);
      const message = new Instance('test').stamp(invalidation, 0, at);
      return { message, payload: encodeMessage(message, Infinity) };
    },
  );
  const add = (
    id: number,
    of: EntityInvalidation = first,
    at: string | null = null,
  ): boolean => burst.add(of, `user:${id}`, at === null ? null : { pg: at });
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

  it.each<[string, [number, string | null][], string | null]>([
    ['of one', [[1, '0/9']], '0/9'],
    [
      'of two keys',
      [
        [1, '0/9'],
        [2, '0/A0'],
      ],
      '0/A0',
    ],
    [
      'of two keys, the first last',
      [
        [1, '0/A0'],
        [2, '0/9'],
      ],
      '0/A0',
    ],
    [
      'of a key that is named again',
      [
        [1, '0/9'],
        [1, '0/A0'],
      ],
      '0/A0',
    ],
    [
      'not where one is unknown',
      [
        [1, '0/9'],
        [2, null],
      ],
      null,
    ],
    [
      'not where the first is unknown',
      [
        [1, null],
        [2, '0/9'],
      ],
      null,
    ],
    [
      'not where one is named again without',
      [
        [1, '0/9'],
        [1, null],
      ],
      null,
    ],
  ])('has the latest position %s', (_, added, latest) => {
    const { burst, add } = start();
    for (const [id, at] of added) add(id, first, at);
    expect(burst.message.at?.['pg'] ?? null).toBe(latest);
  });

  it('does not take the position of what does not fit', () => {
    const { burst, add } = start({ keys: 1 });
    add(1, first, '0/9');
    expect(add(2, first, '0/A0')).toBe(false);
    expect(burst.message.at).toEqual({ pg: '0/9' });
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
